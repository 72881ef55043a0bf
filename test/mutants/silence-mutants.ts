import type { Mutant } from './mutant.ts'

const DELIVERY: Mutant['tests'] = ['unit', 'apps/api/src/gate/delivery.test.ts']
const PREEMPT: Mutant['tests'] = ['unit', 'apps/api/src/gate/preempt.test.ts']
const POOLS = (title: string): Mutant['tests'] => [
  'integration-postgres',
  'test/integration/pools.test.ts',
  '-t',
  title,
]
const CLIENT: Mutant['tests'] = ['unit', 'packages/shared/src/postgres-client.test.ts']
const TIME_LIMITS: Mutant['tests'] = ['unit', 'packages/shared/src/time-limits.test.ts']
const LATE_FILES = (title: string): Mutant['tests'] => [
  'integration-postgres',
  'test/integration/late-files.test.ts',
  '-t',
  title,
]

/** What does not answer or does not come: untaken videos, silent connections, files that come late. */
export const SILENCE_MUTANTS: readonly Mutant[] = [
  {
    rule: 'untaken: what a worker has taken stays there',
    file: 'apps/api/src/gate/delivery.ts',
    find: 'if (attempt.isTaken || attempt.dispatchedMs',
    replace: 'if (attempt.dispatchedMs',
    tests: DELIVERY,
  },
  {
    rule: 'untaken: no more move on than others can start',
    file: 'apps/api/src/gate/delivery.ts',
    find: '    free.set(other, (free.get(other) ?? 0) - 1)\n',
    replace: '',
    tests: DELIVERY,
  },
  {
    rule: 'untaken: none moves on to a pool that does not take either',
    file: 'apps/api/src/gate/delivery.ts',
    find: '        pool.untaken === 0 &&\n',
    replace: '',
    tests: DELIVERY,
  },
  {
    rule: 'untaken: a job has five seconds',
    file: 'apps/api/src/gate/delivery.ts',
    find: 'const UNTAKEN_MS_MAX = 5_000',
    replace: 'const UNTAKEN_MS_MAX = 500',
    tests: DELIVERY,
  },
  {
    rule: 'untaken: a pool is tried with one video at a time',
    file: 'apps/api/src/gate/delivery.ts',
    find: 'return isTried ? 0 : 1',
    replace: 'return isTried ? 1 : pool.slots',
    tests: DELIVERY,
  },
  {
    rule: 'untaken: those that were put there together count as one',
    file: 'apps/api/src/workers/queue-delivery.ts',
    find: 'case when d.paused_until > now() then 0 else 1 end',
    replace: '1',
    tests: POOLS('gets one video at a time'),
  },
  {
    rule: 'untaken: a worker that says anew that it has slots is believed',
    file: 'apps/api/src/attempts/apply-heartbeat.ts',
    find: 'await resumeQueue(context.db, queueRead(heartbeat))',
    replace: 'await Promise.resolve()',
    tests: POOLS('a worker that says anew that it has slots is believed'),
  },
  {
    rule: 'yield: what is nearly over goes on',
    file: 'apps/api/src/gate/preempt.ts',
    find: '(attempt.freeInMs ?? attempt.leftMs) >= LEFT_MS_MIN,',
    replace: 'attempt.leftMs >= LEFT_MS_MIN,',
    tests: PREEMPT,
  },
  {
    rule: 'yield: none for an account at its cap',
    file: 'apps/api/src/gate/preempt.ts',
    find: 'if ((occupied.get(head.accountId) ?? 0) >= accountCap) return head.accountId',
    replace: '',
    tests: ['integration-postgres', 'test/integration/gate-goes-on.test.ts', '-t', 'an account at its cap'],
  },
  {
    rule: '13: who takes over knows that the silent leader is gone',
    file: 'apps/api/src/gate/leadership.ts',
    find: 'const LEASE_MS = 10_000',
    replace: 'const LEASE_MS = 5_000',
    tests: ['unit', 'apps/api/src/gate/leadership.test.ts'],
  },
  {
    rule: '13: with the session of its leader the leadership is free',
    file: 'apps/api/src/gate/leadership.ts',
    find: 'or not exists (select from pg_stat_activity a where a.pid = gate_leader.pid)',
    replace: '',
    tests: [
      'integration-postgres',
      'test/integration/gate-leadership.test.ts',
      '-t',
      'a leader that another has followed resigns',
    ],
  },
  {
    rule: 'silence: of idle connections none is trusted beside a silent one',
    file: 'packages/shared/src/postgres-client.ts',
    find: 'if (error instanceof SilentServerError) closeIdle(pool).catch(() => {})',
    replace: '',
    tests: CLIENT,
  },
  {
    rule: 'silence: a connection that listens is asked',
    file: 'packages/shared/src/postgres-client.ts',
    find: 'this.#askWhileListening()\n    const callback',
    replace: 'this.getTransactionStatus()\n    const callback',
    tests: CLIENT,
  },
  {
    rule: 'silence: a statement may have a limit of its own',
    file: 'packages/shared/src/postgres-client.ts',
    find: 'const answerMs = limitMs ?? this.#limits.answerMs',
    replace: 'const answerMs = Math.min(limitMs ?? 9e9, this.#limits.answerMs)',
    tests: CLIENT,
  },
  {
    rule: 'silence: a server that does not take leave is left',
    file: 'packages/shared/src/postgres-client.ts',
    find: 'setTimeout(() => this.#destroy(), TIME_LIMITS.database.closeMs)',
    replace: 'setTimeout(() => this.#destroy(), TIME_LIMITS.database.migrateMs)',
    tests: CLIENT,
  },
  {
    rule: 'time limits: the server gives up before the connection',
    file: 'packages/shared/src/time-limits.ts',
    find: '    answerMs: 7_000,',
    replace: '    answerMs: 5_000,',
    tests: TIME_LIMITS,
  },
  {
    rule: 'time limits: a stop is over before it is made to be',
    file: 'packages/shared/src/time-limits.ts',
    find: '    requestsMs: 2_500,',
    replace: '    requestsMs: 3_500,',
    tests: TIME_LIMITS,
  },
  {
    rule: 'time limits: a single fault is mended within 25 s',
    file: 'packages/shared/src/time-limits.ts',
    find: '    videoMs: 12_000,',
    replace: '    videoMs: 30_000,',
    tests: TIME_LIMITS,
  },
  {
    rule: 'time limits: a heartbeat is answered before the next',
    file: 'packages/shared/src/time-limits.ts',
    find: '    heartbeatMs: 4_000,',
    replace: '    heartbeatMs: 6_000,',
    tests: TIME_LIMITS,
  },
  {
    rule: 'time limits: a worker hears that the store is away',
    file: 'packages/shared/src/time-limits.ts',
    find: '    storeMs: 6_000,',
    replace: '    storeMs: 8_000,',
    tests: TIME_LIMITS,
  },
  {
    rule: 'files: no signed URL reaches what the owner gets',
    file: 'apps/api/src/videos/video.ts',
    find: '/output-',
    replace: '/',
    tests: LATE_FILES('changes nothing that the owner gets'),
  },
  {
    rule: 'sweep: nothing is swept for good while a URL is good',
    file: 'apps/api/src/videos/sweep.ts',
    find: '(SIGNED_URL_MS + TIME_LIMITS.transfer.wholeMs) / 1_000 + AFTER_SECONDS',
    replace: 'AFTER_SECONDS',
    tests: LATE_FILES('not while one may be good'),
  },
  {
    rule: 'sweep: of a deleted video nothing is kept',
    file: 'apps/api/src/videos/sweep.ts',
    find: 'output_prefix === null || deleted_at !== null ||',
    replace: 'output_prefix === null ||',
    tests: LATE_FILES('fails no delete'),
  },
  {
    rule: 'sweep: of a completed video its owner’s files are kept',
    file: 'apps/api/src/videos/sweep.ts',
    find: 'const { video, thumbnail, spritesheet } = OUTPUT_FILES',
    replace: 'const { video, thumbnail, result: spritesheet } = OUTPUT_FILES',
    tests: LATE_FILES('whatever lies below an ended video'),
  },
  {
    rule: 'sweep: what cannot be removed keeps no other lying',
    file: 'apps/api/src/videos/sweep.ts',
    find: 'if (this.#skipped.size < SKIPPED_MAX) this.#skipped',
    replace: 'if (this.#skipped.size < 0) this.#skipped',
    tests: ['integration-postgres', 'test/integration/expiry.test.ts', '-t', 'keeps no other’s bytes lying'],
  },
]
