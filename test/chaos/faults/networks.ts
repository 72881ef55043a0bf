import type { Wire } from '../machine/wire.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { Fault } from './fault.ts'

interface Trouble {
  name: string
  begin(wire: Wire, random: SeededRandom): void
  holdMs(random: SeededRandom): number
}

const TROUBLES: readonly Trouble[] = [
  { name: 'existing connections go silent', begin: (wire) => wire.silenceExisting(), holdMs: () => 0 },
  {
    name: 'all connections go silent',
    begin: (wire) => wire.silence(),
    holdMs: (random) => random.integer(2_000, 10_000),
  },
  {
    name: 'connections are cut',
    begin: (wire) => wire.cut(),
    holdMs: (random) => random.integer(500, 5_000),
  },
  {
    name: 'everything arrives late',
    begin: (wire, random) => wire.delay(random.integer(100, 500)),
    holdMs: (random) => random.integer(2_000, 6_000),
  },
  {
    name: 'replies are lost after their calls were carried out',
    begin: (wire, random) => wire.dropReplies(random.integer(1, 8)),
    holdMs: (random) => random.integer(1_000, 4_000),
  },
]

/** What networks do, on one of the connections between parts. */
export const NETWORKS: readonly Fault[] = TROUBLES.map(({ name, begin, holdMs }) => ({
  name,
  hits: 'one',
  fits: ({ wires }) => wires.length > 0,
  inject: async ({ wires }, random) => {
    const wire = random.pick(wires)
    begin(wire, random)
    return { what: wire.name, holdMs: holdMs(random), mend: async () => wire.restore() }
  },
}))
