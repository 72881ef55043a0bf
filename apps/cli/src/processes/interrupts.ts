/** A single Ctrl-C arrives several times: from the terminal, from npx and from the launcher. */
const SAME_INTERRUPT_MS = 1_000

/** Two signals for this process: the first Ctrl-C or SIGTERM aborts `stop`, a later one aborts `abandon`. */
export function interrupts(): { stop: AbortSignal; abandon: AbortSignal } {
  const stop = new AbortController()
  const abandon = new AbortController()
  let firstAt = 0
  const onSignal = () => {
    if (!stop.signal.aborted) {
      firstAt = performance.now()
      stop.abort()
    } else if (performance.now() - firstAt > SAME_INTERRUPT_MS) {
      abandon.abort()
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  return { stop: stop.signal, abandon: abandon.signal }
}
