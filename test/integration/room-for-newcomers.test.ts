import { newClaim } from '@sluice/shared/ids'
import { expect, test } from 'vitest'
import type { GateNews } from '../../apps/api/src/context.ts'
import type { Database } from '../../apps/api/src/db/database.ts'
import { dispatchPass } from '../../apps/api/src/gate/dispatch-pass.ts'
import { createRequestSchema } from '../../apps/api/src/submissions/create-request.ts'
import { openSubmissionGroups, submitVideo } from '../../apps/api/src/submissions/submit.ts'
import { type HandDrivenService, startHandDrivenService } from '../support/hand-driven-service.ts'

type Key = Parameters<HandDrivenService['submit']>[0]

/** Ten seconds of it are left, which is worth a yield. */
const submit = (
  { context }: HandDrivenService,
  key: Key,
  tier: 'standard' | 'flex',
  submissionGroups = context.submissionGroups,
) =>
  submitVideo({ ...context, submissionGroups }, key, {
    request: createRequestSchema.parse({ prompt: 'x', num_frames: 5, num_steps: 100, service_tier: tier }),
    idempotencyKey: null,
    tryNumber: null,
    keyHash: () => Buffer.alloc(32),
    callerGone: new AbortController().signal,
    remixedFromVideoId: null,
  })

/** What was dispatched begins to run. */
async function runAll(service: HandDrivenService, key: Key): Promise<void> {
  for (const { id, fence } of (await service.readVideos(key.accountId)).values()) {
    const start = { videoId: id, fence, claim: newClaim() }
    await service.report(start, { type: 'taken', slot: 0 })
    await service.report(start, { type: 'started' })
  }
}

test('who comes while the gate looks has no flex video make room where another pool has a free slot, and is dispatched there', async () => {
  await using service = await startHandDrivenService()
  const key = await service.account(1_000_000_000n)
  for (let slot = 0; slot < 3; slot += 1) await submit(service, key, 'flex')
  expect(await service.gatePass()).toBe(3)
  await runAll(service, key)
  await service.heartbeat([], service.context.internal, { worker: 'worker_of_another', pool: 'free' })
  // It comes when the pool with a free slot has been looked at, and before the full one is.
  let isThere = false
  const query: Database['query'] = async (statement) => {
    const answer = await service.context.internal.db.query(statement)
    if (statement.name === 'gate-heads' && !isThere) {
      isThere = true
      await submit(service, key, 'standard')
    }
    return answer as never
  }
  expect(await service.gatePass({ query })).toBe(1)
  const videos = [...(await service.readVideos(key.accountId)).values()]
  expect(videos.find(({ service_tier: tier }) => tier === 'standard')).toMatchObject({ pool: 'free' })
  expect(videos.filter(({ yield_requested_at: asked }) => asked !== null)).toEqual([])
})

test('no flex video makes room for one that the gate had dispatched before it was told of it', async () => {
  await using service = await startHandDrivenService()
  const key = await service.account(1_000_000_000n)
  const { db } = service.context.internal
  // A reading takes as long as with thousands of lines, so it is kept.
  const query: Database['query'] = async (statement) => {
    if (statement.name === 'gate-heads') for (let time = 0; time < 50; time += 1) await db.query(statement)
    return (await db.query(statement)) as never
  }
  const parts = service.gateParts({ query })
  const told: GateNews[] = []
  const wakeGate = (news?: GateNews) => void (news && told.push(news))
  const groups = openSubmissionGroups({ ...service.context, wakeGate })
  for (let slot = 0; slot < 2; slot += 1) await submit(service, key, 'flex')
  expect(await dispatchPass(parts)).toMatchObject({ dispatched: 2 })
  await runAll(service, key)
  parts.news.put(undefined)
  const { id } = await submit(service, key, 'standard', groups)
  expect(await dispatchPass(parts)).toMatchObject({ dispatched: 1 })
  expect(told).toMatchObject([{ queued: [{ id, known: { row: { id } } }] }])
  parts.news.put(told[0])
  expect(await dispatchPass(parts)).toMatchObject({ dispatched: 0 })
  const videos = [...(await service.readVideos(key.accountId)).values()]
  expect(videos.filter(({ yield_requested_at: asked }) => asked !== null)).toEqual([])
})
