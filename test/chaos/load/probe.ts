import { pause } from '@sluice/shared/pause'
import type { Client } from './client.ts'
import { CLIPS } from './clips.ts'

const POLL_MS = 100

/**
 * How long the service needs, from now, until it has made the next video that somebody orders, in
 * milliseconds. Null when that takes longer than `withinMs`.
 */
export async function probe(client: Client, withinMs: number): Promise<number | null> {
  const startedAt = performance.now()
  const isLate = () => performance.now() - startedAt > withinMs
  const body = { ...CLIPS[0], service_tier: 'priority' }
  const idempotencyKey = `probe-${startedAt}-${Math.random()}`
  let id: string | null = null
  while (!isLate()) {
    if (id === null) {
      const answer = await client.once('POST', '/v1/videos', body, idempotencyKey)
      if (answer.status === 200) id = answer.body.id
    } else {
      const answer = await client.once('GET', `/v1/videos/${id}`)
      if (answer.body?.status === 'completed') return performance.now() - startedAt
      if (answer.body?.status === 'failed') {
        // An order that failed is no video: the next one counts.
        return null
      }
    }
    await pause(POLL_MS)
  }
  return null
}
