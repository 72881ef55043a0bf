import type { Mutant } from './mutant.ts'

/** What keeps one process quick, and what says how many it takes. */
export const SCALE_MUTANTS: readonly Mutant[] = [
  {
    rule: 'event loop: long work gives way',
    file: 'apps/api/src/in-slices.ts',
    find: 'if (performance.now() < sliceEndsMs) continue',
    replace: 'if (sliceEndsMs > 0) continue',
    tests: ['unit', 'apps/api/src/in-slices.test.ts'],
  },
  {
    rule: 'event loop: a forecast gives way between the slots it gives',
    file: 'packages/gate/src/simulation/simulation.ts',
    find: 'if (this.#uncut < UNCUT_MAX) return false',
    replace: 'if (this.#uncut < UNCUT_MAX * 1e6) return false',
    tests: ['unit', 'packages/gate/src/forecast/simulate.test.ts', '-t', 'may be cut between'],
  },
  {
    rule: 'bodies: a long text is put back where it stood',
    file: 'apps/api/src/http/json-scan.ts',
    find: 'if (backslash === -1) return end',
    replace: 'if (end >= at) return end',
    tests: ['unit', 'apps/api/src/http/parse-json.test.ts'],
  },
  {
    rule: 'bodies: what stands beside a long text is bounded before it is parsed',
    file: 'apps/api/src/http/json-scan.ts',
    find: 'if (at - longBytes > restBytesMax) throw bodyTooLarge()',
    replace: 'if (at - json.length > restBytesMax) throw bodyTooLarge()',
    tests: ['unit', 'apps/api/src/http/parse-json.test.ts', '-t', 'before anything of it is parsed'],
  },
  {
    rule: 'demand: a pool is known when its last worker has gone',
    file: 'apps/api/src/metrics/demand.ts',
    find: `least(w.newest_at, now() - $1::int * interval '1 millisecond')`,
    replace: `now() - $1::int * interval '1 millisecond'`,
    tests: ['integration-postgres', 'test/integration/metrics.test.ts', '-t', 'its last worker has gone'],
  },
  {
    rule: 'demand: a video counts once',
    file: 'apps/api/src/metrics/demand.ts',
    find: '.sort((a, b) => weightOf(a) - weightOf(b))',
    replace: '.sort((a, b) => weightOf(b) - weightOf(a))',
    tests: ['unit', 'apps/api/src/metrics/demand.test.ts'],
  },
  {
    rule: 'memory: nothing is kept of a pass that is over',
    file: 'packages/shared/src/interruption.ts',
    find: 'return await Promise.race([work, promise])',
    replace: 'return await Promise.race([work, ((this as unknown as { p?: Promise<never> }).p ??= promise)])',
    tests: ['unit', 'packages/shared/src/interruption.test.ts', '-t', 'keeps nothing'],
  },
]
