import { judgeRedis } from '@sluice/shared/judge-redis'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import type { Logger } from 'pino'

/** A setting of a running Redis changes seldom, and nobody acts on it within a minute. */
const KEPT_MS = 60_000

/** What is doubtful about the Redis that carries the queue, and could be lost: nothing stops for it. */
export class QueueWatch {
  readonly #queue: QueueSettings
  readonly #log: Logger
  readonly #keptMs: number
  #warnings: readonly string[] = []
  #lookedAt = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined

  constructor(queue: QueueSettings, log: Logger, keptMs = KEPT_MS) {
    this.#queue = queue
    this.#log = log
    this.#keptMs = keptMs
  }

  /** As found by the newest look, which is at most a minute old. Never rejects. */
  async warnings(): Promise<readonly string[]> {
    if (this.#queue.backend !== 'redis') return []
    if (performance.now() - this.#lookedAt >= this.#keptMs) {
      this.#looking ??= this.#look(this.#queue.url).finally(() => {
        this.#looking = undefined
      })
    }
    // Only the first call waits: later ones have what was found before.
    if (this.#lookedAt === Number.NEGATIVE_INFINITY) await this.#looking
    return this.#warnings
  }

  async #look(url: string): Promise<void> {
    const verdict = await judgeRedis(url)
    this.#lookedAt = performance.now()
    // The queue's own connection says when it cannot be used.
    if (verdict.state !== 'fit') return
    for (const warning of verdict.warnings.filter((found) => !this.#warnings.includes(found)))
      this.#log.warn({ setting: 'REDIS_URL', warning }, `the Redis of REDIS_URL: ${warning}`)
    this.#warnings = verdict.warnings
  }
}
