import type { Installation } from '../machine/installation.ts'
import type { SeededRandom } from '../seeded-random.ts'

/** A fault that lasts until it is mended. */
export interface Injected {
  /** What was hit, for the log. */
  what: string
  /** How long it lasts; 0 = it is over at once, and what was hit must come back by itself. */
  holdMs: number
  mend(): Promise<void>
}

export interface Fault {
  name: string
  /** `several` things at once: reported apart, since their recoveries add up. */
  hits: 'one' | 'several'
  /** Whether this installation has what the fault hits. */
  fits(installation: Installation): boolean
  /** Null when there is nothing to hit at the moment. */
  inject(installation: Installation, random: SeededRandom): Promise<Injected | null>
}

/** A fault that needs no mending. */
export function momentary(what: string): Injected {
  return { what, holdMs: 0, mend: async () => {} }
}
