import type { Mutant } from './mutant.ts'

const LOSS: Mutant['tests'] = ['unit', 'apps/api/src/attempts/loss.test.ts']
const ATTEMPTS = (title: string): Mutant['tests'] => [
  'integration-postgres',
  'test/integration/attempts.test.ts',
  '-t',
  title,
]
const RECOVERY = (title: string): Mutant['tests'] => [
  'integration-postgres',
  'test/integration/recovery.test.ts',
  '-t',
  title,
]
const WORKER_WORDS = (title: string): Mutant['tests'] => [
  'integration-postgres',
  'test/integration/worker-words.test.ts',
  '-t',
  title,
]
const THIRD_LOSS = 'the third fails it, and says what happened'
const ANOTHER_BEFORE = 'no video is blamed until one is made there'

/** Whose doing a failure or a loss was, and what recovery does about it. */
export const BLAME_MUTANTS: readonly Mutant[] = [
  {
    rule: '15: a video that was not on a device brought nothing down',
    file: 'apps/api/src/attempts/loss.ts',
    find: 'return loss.isTaken && loss.isOnDevice && hasDied',
    replace: 'return loss.isTaken && hasDied',
    tests: LOSS,
  },
  {
    rule: '15: a worker that forgot a video lives',
    file: 'apps/api/src/attempts/loss.ts',
    find: 'const hasDied = loss.hasRestarted || !loss.lives',
    replace: 'const hasDied = loss.hasRestarted || loss.lives',
    tests: LOSS,
  },
  {
    rule: '15: a worker that was started again had died',
    file: 'apps/api/src/attempts/loss.ts',
    find: 'coalesce(w.boot <> l.boot, false) as has_restarted',
    replace: 'false as has_restarted',
    tests: RECOVERY(THIRD_LOSS),
  },
  {
    rule: '15: an API that began anew may have been the reason',
    file: 'apps/api/src/attempts/loss.ts',
    find: 'greatest(r.since, r.api_started_at, pg_postmaster_start_time())',
    replace: 'greatest(r.since, pg_postmaster_start_time())',
    tests: RECOVERY('that died with others, with the installation'),
  },
  {
    rule: '15: what was lost long ago is no company',
    file: 'apps/api/src/attempts/loss.ts',
    find: 'and o.heartbeat_at between l.heartbeat_at - l.lease / 2 and l.heartbeat_at + l.lease / 2',
    replace: '',
    tests: RECOVERY(THIRD_LOSS),
  },
  {
    rule: '15: a host’s fault is no video’s',
    file: 'apps/api/src/attempts/requeue-or-fail.ts',
    find: ` || code === 'host_failed'`,
    replace: '',
    tests: ATTEMPTS('fault of a host or of the store'),
  },
  {
    rule: '15: a store that took no upload is no video’s fault',
    file: 'apps/api/src/attempts/requeue-or-fail.ts',
    find: `if (code === 'upload_failed' || `,
    replace: 'if (',
    tests: ATTEMPTS('fault of a host or of the store'),
  },
  {
    rule: '15: an engine that is away is no video’s fault',
    file: 'apps/api/src/attempts/requeue-or-fail.ts',
    find: ` || code === 'engine_away'`,
    replace: '',
    tests: ATTEMPTS('an engine that is away'),
  },
  {
    rule: '15: an engine that is away ends no video, however long',
    file: 'apps/api/src/attempts/requeue-or-fail.ts',
    find: `and error_code is distinct from 'engine_away'`,
    replace: '',
    tests: ATTEMPTS('an engine that is away'),
  },
  {
    rule: '15: a worker that fails one video after the other is at fault itself',
    file: 'apps/api/src/attempts/requeue-or-fail.ts',
    find: 'if (retryable && (await failedAnotherBefore(locked))) return false',
    replace: '',
    tests: ATTEMPTS(ANOTHER_BEFORE),
  },
  {
    rule: '15: what a worker says of its earlier process is judged as a loss',
    file: 'apps/api/src/attempts/requeue-or-fail.ts',
    find: 'return !loss.hasRestarted || !loss.isOnDevice || mayBeItsDoing(loss)',
    replace: 'return true',
    tests: RECOVERY('that their worker reports after its start'),
  },
  {
    rule: '15: what ends every host ends one day',
    file: 'apps/api/src/attempts/requeue-or-fail.ts',
    find: 'const IDLE_ATTEMPTS_FACTOR = 10',
    replace: 'const IDLE_ATTEMPTS_FACTOR = 100',
    tests: RECOVERY('without progress have a bound'),
  },
  {
    rule: '15: a worker that made a video is well again',
    file: 'apps/api/src/attempts/worker-record.ts',
    find: `and (outcome = 'completed' or (outcome = 'failed' and error_code = any($3)))`,
    replace: `and outcome = 'failed' and error_code = any($3)`,
    tests: ATTEMPTS(ANOTHER_BEFORE),
  },
  {
    rule: '15: one video that fails again and again is at fault itself',
    file: 'apps/api/src/attempts/worker-record.ts',
    find: ` && last.video_id !== attempt.video_id`,
    replace: '',
    tests: ATTEMPTS('ends three runners in a row fails'),
  },
  {
    rule: '15: a worker is known from its first report on',
    file: 'apps/api/src/videos/attempt-store.ts',
    find: 'Object.assign(attempt, { claim, worker_id: workerId,',
    replace: 'Object.assign(attempt, { claim,',
    tests: ATTEMPTS('the first that is heard of its attempt'),
  },
  {
    rule: '15: a host that failed says that it is unwell',
    file: 'apps/api/src/attempts/worker-record.ts',
    find: `[...RUNNER_FAILURES, 'host_failed', 'attempts_exhausted']`,
    replace: `[...RUNNER_FAILURES, 'attempts_exhausted']`,
    tests: ATTEMPTS('a failure right after one that was the host’s'),
  },
  {
    rule: '9: a gap in which nobody heard is no silence',
    file: 'apps/api/src/attempts/reception.ts',
    find: 'const GAP_MS = 5_000\n',
    replace: 'const GAP_MS = 5_000_000_000\n',
    tests: RECOVERY('while nobody could have been heard is no silence'),
  },
  {
    rule: '9: a heartbeat far ahead says nothing',
    file: 'apps/api/src/attempts/reception.ts',
    find: '(leaseMs)} and now() + $',
    replace: `(leaseMs)} and now() + interval '9 years' + $`,
    tests: RECOVERY('since the clock was set back'),
  },
  {
    rule: 'loops: a store that hangs keeps none waiting that has nothing in it',
    file: 'apps/api/src/attempts/recovery.ts',
    find: `return row.is_taken && row.reason !== 'cancel_unanswered' ? 'store' : 'database'`,
    replace: `return 'store'`,
    tests: RECOVERY('waits for no store'),
  },
  {
    rule: '16: finished work has time for its upload',
    file: 'apps/api/src/attempts/recovery.ts',
    find: 'const UPLOAD_SECONDS = 30',
    replace: 'const UPLOAD_SECONDS = 0',
    tests: RECOVERY('half a minute more for its upload'),
  },
  {
    rule: 'loops: what the database refuses is not tried for ever',
    file: 'apps/api/src/attempts/unstorable.ts',
    find: `const UNSTORABLE_CLASSES = ['22', '23']`,
    replace: `const UNSTORABLE_CLASSES: string[] = []`,
    tests: WORKER_WORDS('that the database refuses all the same'),
  },
  {
    rule: '10: a result that cannot be stored counts as none',
    file: 'apps/api/src/attempts/give-up.ts',
    find: 'if (result === null || !isUnstorable(error)) throw error',
    replace: 'if (result !== undefined) throw error',
    tests: WORKER_WORDS('that the database refuses all the same'),
  },
]
