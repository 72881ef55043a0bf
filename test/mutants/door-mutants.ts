import type { Mutant } from './mutant.ts'

const REPEATS: Mutant['tests'] = ['integration-postgres', 'test/integration/repeats.test.ts']
const DOOR = (title: string): Mutant['tests'] => [
  'integration-postgres',
  'test/integration/door.test.ts',
  '-t',
  title,
]
const FAIR_LINE: Mutant['tests'] = ['unit', 'packages/shared/src/fair-line.test.ts']
const LOOK_FIRST: Mutant['tests'] = ['integration-postgres', 'test/integration/look-first.test.ts']

/** What a request meets before it becomes a video: repeats, money first, and what one tenant may take. */
export const DOOR_MUTANTS: readonly Mutant[] = [
  {
    rule: 'repeats: a video is found once by as many tries',
    file: 'apps/api/src/submissions/repeats.ts',
    find: 'u.tries < $3 and u.video_id',
    replace: 'u.tries <= $3 and u.video_id',
    tests: REPEATS,
  },
  {
    rule: 'repeats: the try before was refused',
    file: 'apps/api/src/submissions/repeats.ts',
    find: 'values: [keyId, requestHash, tryNumber - 1],',
    replace: 'values: [keyId, requestHash, tryNumber],',
    tests: REPEATS,
  },
  {
    rule: 'repeats: what its caller knows is not found',
    file: 'apps/api/src/submissions/repeats.ts',
    find: 'delete from unconfirmed_answer where video_id = any ($3::text[])',
    replace: 'delete from unconfirmed_answer where false',
    tests: REPEATS,
  },
  {
    rule: 'repeats: the answer of a dead process is lost',
    file: 'apps/api/src/submissions/repeats.ts',
    find: `(u.state = 'open' and`,
    replace: `(u.state = 'none' and`,
    tests: REPEATS,
  },
  {
    rule: 'repeats: a deleted video is no answer',
    file: 'apps/api/src/submissions/repeats.ts',
    find: ' and v.deleted_at is null',
    replace: '',
    tests: REPEATS,
  },
  {
    rule: 'repeats: only what an SDK repeats counts as refused',
    file: 'apps/api/src/submissions/repeats.ts',
    find: 'if (error instanceof SluiceError && !REPEATED.has(error.code)) return',
    replace: '',
    tests: REPEATS,
  },
  {
    rule: 'repeats: refusals are written for all processes',
    file: 'apps/api/src/submissions/repeats.ts',
    find: '    this.#refused.push(refusal)\n',
    replace: '    if (refusal.tryNumber > 0) this.#refused.push(refusal)\n',
    tests: REPEATS,
  },
  {
    rule: 'money first: no image is decoded without money',
    file: 'apps/api/src/submissions/look-first.ts',
    find: 'if (priced.costMicros > availableMicros)',
    replace: 'if (priced.costMicros < 0n)',
    tests: LOOK_FIRST,
  },
  {
    rule: 'money first: no hook is asked without money',
    file: 'apps/api/src/submissions/look-first.ts',
    find: ' || config.moderation !== null',
    replace: '',
    tests: LOOK_FIRST,
  },
  {
    rule: 'money first: a full queue is looked at too',
    file: 'apps/api/src/submissions/look-first.ts',
    find: '      queues.check(key)\n',
    replace: '',
    tests: LOOK_FIRST,
  },
  {
    rule: 'money first: a spent budget is looked at too',
    file: 'apps/api/src/submissions/look-first.ts',
    find: 'priced.tokens > budget.remainingTokens)',
    replace: 'priced.tokens < 0n)',
    tests: LOOK_FIRST,
  },
  {
    rule: 'money first: a repeat gets its video though its money is spent',
    file: 'apps/api/src/submissions/look-first.ts',
    find: 'if (!(await mayHaveVideo(context, key, submission))) throw error',
    replace: 'throw error',
    tests: LOOK_FIRST,
  },
  {
    rule: 'money first: an image may give the cheapest size',
    file: 'apps/api/src/submissions/look-first.ts',
    find: 'priced.tokens < least.tokens ? priced : least',
    replace: 'priced.tokens > least.tokens ? priced : least',
    tests: LOOK_FIRST,
  },
  {
    rule: 'crowding: a tenant waits behind its own',
    file: 'packages/shared/src/fair-line.ts',
    find: 'if (tenant.waiting.length > 0 || !this.#fits(tenant, taken))',
    replace: 'if (!this.#fits(tenant, taken))',
    tests: FAIR_LINE,
  },
  {
    rule: 'crowding: a tenant has no more than its places',
    file: 'packages/shared/src/fair-line.ts',
    find: ' && tenant.taken + weight <= this.#options.placesOfTenant',
    replace: '',
    tests: FAIR_LINE,
  },
  {
    rule: 'crowding: a bounded number waits',
    file: 'packages/shared/src/fair-line.ts',
    find: 'if (tenant.waiting.length >= this.#options.waitingOfTenant)',
    replace: 'if (tenant.waiting.length > this.#options.waitingOfTenant)',
    tests: FAIR_LINE,
  },
  {
    rule: 'crowding: tenants come in turn',
    file: 'packages/shared/src/fair-line.ts',
    find: '        tenant.waiting.shift()\n        this.#waiting.delete(name)\n',
    replace:
      '        tenant.waiting.shift()\n        if (tenant.waiting.length === 0) this.#waiting.delete(name)\n',
    tests: FAIR_LINE,
  },
  {
    rule: 'crowding: who leaves the line lets the next one come',
    file: 'packages/shared/src/fair-line.ts',
    find: '        // Whoever stood behind it may fit.\n        this.#startNext()\n',
    replace: '',
    tests: FAIR_LINE,
  },
  {
    rule: 'crowding: nobody rests while there is plenty',
    file: 'packages/shared/src/fair-line.ts',
    find: ' || !rest.isScarce()) return 0',
    replace: ') return 0',
    tests: FAIR_LINE,
  },
  {
    rule: 'crowding: a body of unknown length takes the room of the largest',
    file: 'apps/api/src/http/body-arrival.ts',
    find: 'return isAsLong ? length : bytesMax',
    replace: 'return isAsLong ? length : 0',
    tests: DOOR('bodies that stop coming hold no more'),
  },
  {
    rule: 'crowding: the room of a body is given back',
    file: 'apps/api/src/http/admit.ts',
    find: `else response.once('close', leave)`,
    replace: `else response.once('finish', leave)`,
    tests: DOOR('bodies that stop coming hold no more'),
  },
  {
    rule: 'crowding: keys are looked up together',
    file: 'apps/api/src/keys/key-reader.ts',
    find: '.slice(0, KEYS_PER_READING)',
    replace: '.slice(0, 1)',
    tests: DOOR('a thousand requests with keys that nobody has'),
  },
  {
    rule: 'crowding: strangers are paced by their address',
    file: 'apps/api/src/http/pace-strangers.ts',
    find: 'if (count > this.#bounds.strangerRequestsPerSecond)',
    replace: 'if (count < 0)',
    tests: DOOR('asks without a good key more often than it may'),
  },
]
