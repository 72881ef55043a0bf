import type { Mutant } from './mutant.ts'

const INTERLEAVINGS: Mutant['tests'] = ['integration-postgres', 'test/integration/interleavings.test.ts']
const GATE: Mutant['tests'] = ['integration-postgres', 'test/integration/gate.test.ts']
const PLACES: Mutant['tests'] = ['unit', 'apps/api/src/places.test.ts']
const LEADERSHIP: Mutant['tests'] = ['integration-postgres', 'test/integration/gate-leadership.test.ts']
const CHOOSE: Mutant['tests'] = ['unit', 'apps/api/src/gate']
const LIMITS: Mutant['tests'] = ['integration-postgres', 'test/integration/running-limits.test.ts']
const KEYS: Mutant['tests'] = ['integration-postgres', 'test/integration/keys.test.ts']
const LEDGER: Mutant['tests'] = ['integration-postgres', 'test/integration/ledger.test.ts']
const OWN_MODELS: Mutant['tests'] = ['integration-postgres', 'test/integration/own-models.test.ts']
const ATTEMPTS: Mutant['tests'] = ['integration-postgres', 'test/integration/attempts.test.ts']
const DOOR: Mutant['tests'] = ['integration-postgres', 'test/integration/door.test.ts']

/** Who goes next, who may do what, and what a tenant may take of what all share. */
export const GATE_MUTANTS: readonly Mutant[] = [
  {
    rule: '12: only what a free slot takes is dispatched',
    file: 'apps/api/src/gate/dispatch-pass.ts',
    find: 'while (dispatched < freeSlots) {',
    replace: 'while (dispatched <= freeSlots) {',
    tests: INTERLEAVINGS,
  },
  {
    rule: '12: an occupied slot is not free',
    file: 'apps/api/src/gate/dispatch-pass.ts',
    find: 'const freeSlots = pool.slots - occupantsOf(fleet, pool).length',
    replace: 'const freeSlots = pool.slots',
    tests: INTERLEAVINGS,
  },
  {
    rule: '12: a queued video is dispatched once',
    file: 'apps/api/src/videos/transition.ts',
    find: `where id = $1 and status = 'queued' and exists (select from living)`,
    replace: 'where id = $1 and exists (select from living)',
    tests: INTERLEAVINGS,
  },
  {
    rule: '13: a leader that another has followed resigns',
    file: 'apps/api/src/gate/leadership.ts',
    find: 'if (rowCount === 0) throw new LeadershipLostError',
    replace: 'if (rowCount === -1) throw new LeadershipLostError',
    tests: LEADERSHIP,
  },
  {
    rule: '13: a leader that another has followed dispatches nothing more',
    file: 'apps/api/src/gate/dispatch-pass.ts',
    find: '    await pass.keepLeadership()\n',
    replace: '',
    tests: LEADERSHIP,
  },
  {
    rule: '13: the leadership is won by one',
    file: 'apps/api/src/gate/leadership.ts',
    find: 'and (holder = $1 or $',
    replace: 'and (true or $',
    tests: LEADERSHIP,
  },
  {
    rule: 'fairness: cost is what is shared',
    file: 'apps/api/src/gate/choose.ts',
    find: 'finishTagMs: startTagMs + (head.costMs * 100) / head.weight }',
    replace: 'finishTagMs: startTagMs + 100 / head.weight }',
    tests: CHOOSE,
  },
  {
    rule: 'fairness: weights count',
    file: 'apps/api/src/gate/choose.ts',
    find: '(head.costMs * 100) / head.weight }',
    replace: 'head.costMs }',
    tests: CHOOSE,
  },
  {
    rule: 'fairness: the account’s share of a pool',
    file: 'apps/api/src/gate/choose.ts',
    find: 'return Math.max(1, Math.floor((pool.slots * accountSharePercent) / 100))',
    replace: 'return pool.slots',
    tests: GATE,
  },
  {
    rule: 'fairness: a flex video near its deadline is served as standard',
    file: 'apps/api/src/gate/choose.ts',
    find: `video.costMs * PROMOTION_COSTS) ? 'standard' : 'flex'`,
    replace: `video.costMs * PROMOTION_COSTS) ? 'flex' : 'flex'`,
    tests: CHOOSE,
  },
  {
    rule: 'yield: a video that came back runs for a while',
    file: 'apps/api/src/gate/preempt.ts',
    find: '(!attempt.cameBack || attempt.ranMs >= RUN_MS_MIN) &&',
    replace: '',
    tests: CHOOSE,
  },
  {
    rule: 'yield: only for what gets the slot',
    file: 'apps/api/src/gate/preempt.ts',
    find: `  return choice.tier !== 'flex'`,
    replace: '  return true',
    tests: CHOOSE,
  },
  {
    rule: '26: running_max of an account',
    file: 'apps/api/src/gate/running-counts.ts',
    find: 'this.#countOf(accountId) >= accountRunningMax',
    replace: 'this.#countOf(accountId) > accountRunningMax',
    tests: LIMITS,
  },
  {
    rule: '26: running_max of a key',
    file: 'apps/api/src/gate/running-counts.ts',
    find: 'this.#countOf(keyId) >= keyRunningMax',
    replace: 'this.#countOf(keyId) > keyRunningMax',
    tests: LIMITS,
  },
  {
    rule: '26: a device that was given back is not counted',
    file: 'apps/api/migrations/0021-queues.sql',
    find: `where v.status in ('dispatched', 'running') and a.released_at is null;`,
    replace: `where v.status in ('dispatched', 'running');`,
    tests: LIMITS,
  },
  {
    rule: '17: a worker token reaches the internal calls only',
    file: 'apps/api/src/keys/authenticate.ts',
    find: 'if (!allows(key.scopes, scope)) {',
    replace: `if (!allows(key.scopes, scope) && !key.scopes.includes('worker')) {`,
    tests: ATTEMPTS,
  },
  {
    rule: '17: no other key reaches the internal calls',
    file: 'apps/api/src/keys/authenticate.ts',
    find: 'if (!allows(key.scopes, scope)) {',
    replace: `if (!allows(key.scopes, scope) && scope !== 'worker') {`,
    tests: ATTEMPTS,
  },
  {
    rule: 'keys: one that was revoked is refused',
    file: 'apps/api/src/keys/authenticate.ts',
    find: 'revoked_at is null and (expires_at',
    replace: '(expires_at',
    tests: KEYS,
  },
  {
    rule: 'keys: one that expired is refused',
    file: 'apps/api/src/keys/authenticate.ts',
    find: 'and (expires_at is null or expires_at > now())',
    replace: '',
    tests: KEYS,
  },
  {
    rule: 'keys: models of a key',
    file: 'apps/api/src/keys/authenticate.ts',
    find: 'return models === null || models.includes(model)',
    replace: 'return models === null || models.length > 0 || models.includes(model)',
    tests: KEYS,
  },
  {
    rule: '18: GPU hosts see schema bullmq alone',
    file: 'apps/api/migrations/0001-roles.sql',
    find: 'grant select, insert, update, delete on tables to sluice_app;',
    replace:
      'grant select, insert, update, delete on tables to sluice_app, sluice_worker;\ngrant usage on schema public to sluice_worker;',
    tests: LEDGER,
  },
  {
    rule: '18: GPU hosts make nothing in public',
    file: 'apps/api/migrations/0001-roles.sql',
    find: 'revoke all on schema public from sluice_worker;',
    replace: 'grant create, usage on schema public to sluice_worker;',
    tests: LEDGER,
  },
  {
    rule: '27: a private model is not named to others',
    file: 'apps/api/src/submissions/generation-of.ts',
    find: 'models: config.catalogue.availableTo(key.accountId)',
    replace: 'models: config.catalogue.models',
    tests: OWN_MODELS,
  },
  {
    rule: '28: a queue gets what all of its workers serve',
    file: 'apps/api/src/workers/pool-capabilities.ts',
    find: 'others.every((capabilities) => capabilities.includes(capability))',
    replace: `capability !== ''`,
    tests: OWN_MODELS,
  },
  {
    rule: '28: workers that serve something else read another queue',
    file: 'packages/shared/src/queue-of.ts',
    find: '[...new Set(models)].sort(),',
    replace: '[],',
    tests: ['unit', 'packages/shared/src/queue-of.test.ts'],
  },
  {
    rule: '28: a model with a pool of its own is made nowhere else',
    file: 'apps/api/src/workers/pool-capabilities.ts',
    find: 'models.filter((id) => (catalogue.find(id)?.pool ?? pool) === pool),',
    replace: 'models,',
    tests: OWN_MODELS,
  },
  {
    rule: '27: a private model does not exist for others',
    file: 'packages/shared/src/models/catalogue.ts',
    find: 'model.accounts === null || model.accounts.has(accountId)',
    replace: 'model.accounts === null || model.accounts.has(accountId) || accountId !== ""',
    tests: OWN_MODELS,
  },
  {
    rule: 'tenants: nobody cancels another’s video',
    file: 'apps/api/src/videos/cancel.ts',
    find: 'if (video === null || video.account_id !== accountId || video.deleted_at !== null) throw notFound()',
    replace: 'if (video === null || video.deleted_at !== null) throw notFound()',
    tests: ['integration-postgres', 'test/integration/bad-input.test.ts'],
  },
  {
    rule: 'limits: queued_max of an account',
    file: 'apps/api/src/submissions/check-queue.ts',
    find: 'if (queued >= BigInt(queued_max)) throw',
    replace: 'if (queued > BigInt(queued_max)) throw',
    tests: KEYS,
  },
  {
    rule: 'limits: queued_max of a key',
    file: 'apps/api/src/submissions/check-queue.ts',
    find: 'queued_of_key >= BigInt(queuedMax)',
    replace: 'queued_of_key > BigInt(queuedMax)',
    tests: KEYS,
  },
  {
    rule: 'limits: unfinished_max of an account',
    file: 'apps/api/src/submissions/check-queue.ts',
    find: 'unfinished >= BigInt(unfinished_max)',
    replace: 'unfinished > BigInt(unfinished_max)',
    tests: KEYS,
  },
  {
    rule: 'crowding: connections of one account',
    file: 'apps/api/src/places.ts',
    find: 'const CONNECTIONS_SHARE = 0.25',
    replace: 'const CONNECTIONS_SHARE = 25',
    tests: PLACES,
  },
  {
    rule: 'crowding: long calls of one account',
    file: 'apps/api/src/places.ts',
    find: 'longCalls: ofCalls(bounds.longCallsOfAccount),',
    replace: 'longCalls: ofCalls(1_000_000),',
    tests: PLACES,
  },
  {
    rule: 'crowding: body bytes of one account',
    file: 'apps/api/src/places.ts',
    find: 'placesOfTenant: bounds.bodyBytesOfAccount,',
    replace: 'placesOfTenant: Number.MAX_SAFE_INTEGER,',
    tests: PLACES,
  },
  {
    rule: 'crowding: decodings of one account',
    file: 'apps/api/src/places.ts',
    find: 'placesOfTenant: bounds.decodingsOfAccount,',
    replace: 'placesOfTenant: 1_000_000,',
    tests: PLACES,
  },
  {
    rule: 'crowding: look-ups of unknown keys',
    file: 'apps/api/src/keys/key-reader.ts',
    find: 'if (this.#readings >= READINGS_MAX || this.#waiting.size === 0) return',
    replace: 'if (this.#waiting.size === 0) return',
    tests: DOOR,
  },
]
