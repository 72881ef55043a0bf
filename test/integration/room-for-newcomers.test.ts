import { newClaim } from '@sluice/shared/ids'
import { expect, test } from 'vitest'
import type { Database } from '../../apps/api/src/db/database.ts'
import { createRequestSchema } from '../../apps/api/src/submissions/create-request.ts'
import { submitVideo } from '../../apps/api/src/submissions/submit.ts'
import { type HandDrivenService, startHandDrivenService } from '../support/hand-driven-service.ts'

type Key = Parameters<HandDrivenService['submit']>[0]

/** Ten seconds of it are left, which is worth a yield. */
const submit = (service: HandDrivenService, key: Key, tier: 'standard' | 'flex') =>
  submitVideo(service.context, key, {
    request: createRequestSchema.parse({ prompt: 'x', num_frames: 5, num_steps: 100, service_tier: tier }),
    idempotencyKey: null,
    tryNumber: null,
    keyHash: () => Buffer.alloc(32),
    callerGone: new AbortController().signal,
    remixedFromVideoId: null,
  })

test('who comes while the gate looks has no flex video make room where another pool has a free slot, and is dispatched there', async () => {
  await using service = await startHandDrivenService()
  const key = await service.account(1_000_000_000n)
  for (let slot = 0; slot < 3; slot += 1) await submit(service, key, 'flex')
  expect(await service.gatePass()).toBe(3)
  for (const { id, fence } of (await service.readVideos(key.accountId)).values()) {
    const start = { videoId: id, fence, claim: newClaim() }
    await service.report(start, { type: 'taken', slot: 0 })
    await service.report(start, { type: 'started' })
  }
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
