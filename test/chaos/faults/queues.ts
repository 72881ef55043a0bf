import { Redis } from 'ioredis'
import type { Fault } from './fault.ts'

/** What happens to a Redis that nobody backs up. Killing, freezing and silence are among the other faults. */
export const QUEUES: readonly Fault[] = [
  {
    name: 'redis loses everything',
    hits: 'one',
    fits: ({ redisUrl }) => redisUrl !== null,
    inject: async ({ redisUrl }) => {
      const redis = new Redis(redisUrl ?? '', {
        lazyConnect: true,
        maxRetriesPerRequest: 0,
        commandTimeout: 3_000,
      })
      redis.on('error', () => {})
      try {
        await redis.connect()
        await redis.flushall()
        return { what: 'FLUSHALL', holdMs: 0, mend: async () => {} }
      } catch {
        return null
      } finally {
        redis.disconnect()
      }
    },
  },
]
