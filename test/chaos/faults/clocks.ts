import type { Fault } from './fault.ts'

const STEPS_SECONDS = [3_600, -3_600, 30, -30] as const

/** Somebody sets the time of the hosts of API and workers. The database's stays true. */
export const CLOCKS: readonly Fault[] = [
  {
    name: 'the clocks step',
    hits: 'one',
    fits: ({ stepClocks }) => stepClocks !== null,
    inject: async ({ stepClocks }, random) => {
      const seconds = random.pick(STEPS_SECONDS)
      stepClocks?.(seconds)
      return { what: `${seconds} s`, holdMs: random.integer(2_000, 8_000), mend: async () => stepClocks?.(0) }
    },
  },
]
