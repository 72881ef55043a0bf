import { randomBytes } from 'node:crypto'
import { HandWorker } from './hand-worker.ts'
import type { TestApi } from './start-api.ts'

/**
 * Waits until the gate has made a whole pass that began after everything before this call was committed. Two
 * dispatches to a pool of its own prove it: between them lies a whole pass.
 */
export async function gatePassed(api: TestApi): Promise<void> {
  const { key } = await api.account(1_000_000_000n)
  await using worker = new HandWorker(api, { pool: `passed-${randomBytes(4).toString('hex')}` })
  await worker.heartbeat([], { models: ['open-sora-2'] })
  for (let pass = 0; pass < 2; pass += 1) {
    const { id } = (
      await api.call('POST', '/v1/videos', { prompt: 'x', model: 'open-sora-2', num_frames: 5 }, { key })
    ).body
    await worker.fetchJob()
    await api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
  }
  await worker.heartbeat([], { draining: true })
}
