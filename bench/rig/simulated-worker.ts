import { setTimeout as delay } from 'node:timers/promises'
import {
  groupAnswerSchema,
  HEARTBEAT_MS,
  REPORT_MS_MAX,
  reportAnswerSchema,
  type Verdict,
} from '@sluice/shared/attempt-contract'
import { newClaim } from '@sluice/shared/ids'
import type { ApiProcess } from './api-process.ts'
import { Connection } from './connection.ts'

interface Slot {
  video: string
  key: string
  claim: string
  step: number
  isUnderWay: boolean
  /** When its cancel was asked for. */
  cancelledAtMs: number | null
}

/** What simulated workers were answered. */
export interface Heard {
  reports: number
  answerMs: number[]
  /** From the request of a cancel until its worker hears it. */
  cancelMs: number[]
}

/**
 * A worker of pool `fleet` whose slots all run: it says something of each once a second, and sends
 * heartbeats. A slot whose video is cancelled has nothing more to say.
 */
export class SimulatedWorker {
  readonly id: string
  readonly slots: Slot[]
  readonly #connection: Connection
  readonly #token: string
  readonly #heard: () => Heard
  #heartbeatAtMs = 0

  constructor(
    { url, workerToken }: ApiProcess,
    given: { id: string; slots: readonly { video: string; key: string }[]; heard: () => Heard },
  ) {
    this.id = given.id
    this.#token = workerToken
    this.#connection = new Connection(url)
    this.#heard = given.heard
    this.slots = given.slots.map((slot) => ({
      ...{ ...slot, claim: newClaim(), step: 0, isUnderWay: false, cancelledAtMs: null },
    }))
  }

  async heartbeat(): Promise<void> {
    this.#heartbeatAtMs = performance.now()
    await this.#connection.post('/internal/heartbeat', this.#token, {
      ...{
        worker: this.id,
        boot: 'boot',
        pool: 'fleet',
        slots: this.slots.length,
        device: 'bench',
        devices_per_slot: 1,
      },
      ...{ vram_bytes: 0, models: ['animatic'], cost_per_hour_micros: null, draining: false },
      limits: { frames_max: 129, pixels_max: 589_824 },
      attempts: this.slots.map(({ video, claim }) => ({ video, fence: 1, claim })),
    })
  }

  async work(how: 'together' | 'alone', { afterMs, signal }: { afterMs: number; signal: AbortSignal }) {
    await delay(afterMs)
    let nextMs = performance.now()
    while (!signal.aborted) {
      const waiting = this.slots.filter(({ isUnderWay }) => !isUnderWay)
      const said =
        how === 'together' ? [this.#sayTogether(waiting)] : waiting.map((slot) => this.#sayAlone(slot))
      if (performance.now() - this.#heartbeatAtMs >= HEARTBEAT_MS) said.push(this.heartbeat())
      for (const saying of said) saying.catch((error: unknown) => console.warn(error))
      nextMs += REPORT_MS_MAX
      await delay(Math.max(0, nextMs - performance.now()))
    }
  }

  async cancelOne(): Promise<void> {
    const slot = this.slots.find(({ cancelledAtMs }) => cancelledAtMs === null)
    if (slot === undefined) return
    slot.cancelledAtMs = performance.now()
    await this.#connection.post(`/v1/videos/${slot.video}/cancel`, slot.key, {})
  }

  close(): void {
    this.#connection.close()
  }

  async #sayTogether(slots: readonly Slot[]): Promise<void> {
    if (slots.length === 0) return
    const reports = slots.map((slot) => ({ video: slot.video, fence: 1, report: this.#progress(slot) }))
    const { answers } = groupAnswerSchema.parse(await this.#timed(slots, '/internal/reports', { reports }))
    await Promise.all(
      slots.map(async (slot, index) => {
        const answer = answers[index]
        if (answer === undefined || !('verdict' in answer)) throw new Error(JSON.stringify(answer))
        await this.#hear(slot, answer.verdict)
      }),
    )
  }

  async #sayAlone(slot: Slot): Promise<void> {
    const answer = await this.#timed([slot], `/internal/attempts/${slot.video}/1`, this.#progress(slot))
    await this.#hear(slot, reportAnswerSchema.parse(answer).verdict)
  }

  async #timed(slots: readonly Slot[], path: string, body: unknown): Promise<unknown> {
    for (const slot of slots) slot.isUnderWay = true
    const startedAtMs = performance.now()
    try {
      const answer = await this.#connection.post(path, this.#token, body)
      this.#heard().answerMs.push(performance.now() - startedAtMs)
      this.#heard().reports += slots.length
      return answer
    } finally {
      for (const slot of slots) slot.isUnderWay = false
    }
  }

  #progress(slot: Slot) {
    slot.step += 1
    const { claim, step } = slot
    return { type: 'progress', claim, worker: this.id, phase: 'denoise', step, remaining_ms: 600_000 }
  }

  async #hear(slot: Slot, verdict: Verdict): Promise<void> {
    if (verdict === 'continue') return
    if (verdict !== 'cancel' || slot.cancelledAtMs === null) throw new Error(`${slot.video}: ${verdict}`)
    this.#heard().cancelMs.push(performance.now() - slot.cancelledAtMs)
    this.slots.splice(this.slots.indexOf(slot), 1)
    const { claim, step } = slot
    await this.#connection.post(`/internal/attempts/${slot.video}/1`, this.#token, {
      ...{ type: 'cancelled', claim, worker: this.id, step },
    })
  }
}
