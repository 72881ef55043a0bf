/** What a check found. `note`: worth knowing, but nothing is wrong. `fail`: this part does not work. */
export interface Finding {
  part: string
  state: 'ok' | 'note' | 'fail'
  text: string
  /** What to do about it. */
  todo?: string
}

const MARKS = { ok: '✓', note: '·', fail: '✗' } as const satisfies Record<Finding['state'], string>

export function ok(part: string, text: string): Finding {
  return { part, state: 'ok', text }
}

export function note(part: string, text: string, todo?: string): Finding {
  return { part, state: 'note', text, ...(todo === undefined ? {} : { todo }) }
}

export function fail(part: string, text: string, todo: string): Finding {
  return { part, state: 'fail', text, todo }
}

/** The finding in one line, or two with what to do. */
export function formatFinding({ part, state, text, todo }: Finding): string {
  const line = `${MARKS[state]} ${part.padEnd(12)} ${text}`
  return todo === undefined ? line : `${line}\n  ${' '.repeat(12)} -> ${todo}`
}
