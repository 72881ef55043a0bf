import type { Installation, ProcessKind } from '../machine/installation.ts'
import { signalProcess } from '../machine/signals.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { Fault } from './fault.ts'
import { postgresProcesses } from './kills.ts'

const KINDS = ['api', 'worker', 'runner', 'postgres', 'redis', 's3', 'supervisor'] as const
/** Past the lease of 20 s: what wakes up then is a zombie. */
const ZOMBIE_MS = 23_000

/** SIGSTOP, then SIGCONT: a process that is swapped out, a virtual machine that moves to another host. */
export const FREEZES: readonly Fault[] = [
  ...KINDS.map((kind) => freeze(`freeze ${kind}`, kind, (random) => random.integer(1_000, 6_000))),
  freeze('freeze worker past its lease', 'worker', () => ZOMBIE_MS),
]

function freeze(name: string, kind: ProcessKind, holdMs: (random: SeededRandom) => number): Fault {
  return {
    name,
    hits: 'one',
    fits: (installation) => installation.pids(kind).length > 0,
    inject: async (installation, random) => {
      const pids = drawTarget(installation, kind, random)
      for (const pid of pids) signalProcess(pid, 'SIGSTOP')
      return {
        what: `${kind} ${pids[0]}`,
        holdMs: holdMs(random),
        mend: async () => {
          for (const pid of pids) signalProcess(pid, 'SIGCONT')
        },
      }
    },
  }
}

/** One process; of PostgreSQL all, since a server and its backends are frozen together. */
function drawTarget(installation: Installation, kind: ProcessKind, random: SeededRandom): number[] {
  if (kind === 'postgres') return postgresProcesses(installation)
  const pids = installation.pids(kind)
  return pids.length === 0 ? [] : [random.pick(pids)]
}
