/** What a check found. `note`: worth knowing, nothing is wrong. `fail`: this part does not work; `todo` says what to do. */
export interface Finding {
  part: string
  state: 'ok' | 'note' | 'fail'
  said: string
  todo?: string
}

const MARKS = { ok: '✓', note: '·', fail: '✗' } as const satisfies Record<Finding['state'], string>

export function ok(part: string, said: string): Finding {
  return { part, state: 'ok', said }
}

export function note(part: string, said: string, todo?: string): Finding {
  return { part, state: 'note', said, ...(todo === undefined ? {} : { todo }) }
}

export function fail(part: string, said: string, todo: string): Finding {
  return { part, state: 'fail', said, todo }
}

/** One or two lines for a person. */
export function formatFinding({ part, state, said, todo }: Finding): string {
  return `${MARKS[state]} ${part.padEnd(12)} ${said}${todo === undefined ? '' : `\n  ${' '.repeat(12)} -> ${todo}`}`
}
