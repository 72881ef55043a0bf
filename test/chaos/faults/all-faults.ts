import type { Installation } from '../machine/installation.ts'
import type { SeededRandom } from '../seeded-random.ts'
import { CLOCKS } from './clocks.ts'
import { DISKS } from './disks.ts'
import type { Fault } from './fault.ts'
import { FREEZES } from './freezes.ts'
import { KILLS } from './kills.ts'
import { NETWORKS } from './networks.ts'
import { QUEUES } from './queues.ts'
import { RUNNERS } from './runners.ts'
import { STORES } from './stores.ts'

const ALL_FAULTS = [...KILLS, ...FREEZES, ...NETWORKS, ...STORES, ...DISKS, ...QUEUES, ...CLOCKS, ...RUNNERS]

/** Every fault that fits, in random order, again and again: so each kind comes as often as any other. */
export function* dealFaults(installation: Installation, random: SeededRandom): Generator<Fault> {
  for (;;) {
    const deck = ALL_FAULTS.filter((fault) => fault.fits(installation))
    while (deck.length > 0) {
      const [fault] = deck.splice(random.integer(0, deck.length - 1), 1)
      if (fault !== undefined) yield fault
    }
  }
}
