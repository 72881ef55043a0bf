/** Undefined when the text is not JSON; for what is checked against a schema next, which refuses that too. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
