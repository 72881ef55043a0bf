import { rmSync, writeFileSync } from 'node:fs'
import { MOODS } from '../machine/moods.ts'
import { moodFileOf } from '../machine/runner-settings.ts'
import type { Fault } from './fault.ts'

/** A runner that works for other people's code: see machine/moody-runner.ts. */
export const RUNNERS: readonly Fault[] = MOODS.map((mood) => ({
  name: `a runner: ${mood}`,
  hits: 'one',
  fits: () => true,
  inject: async ({ options }, random) => {
    const file = moodFileOf(options.dir)
    writeFileSync(file, mood)
    return {
      what: 'every runner',
      holdMs: random.integer(300, 1_500),
      mend: async () => rmSync(file, { force: true }),
    }
  },
}))
