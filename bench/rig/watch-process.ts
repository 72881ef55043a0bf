import { type ELDHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { pause } from '@sluice/shared/pause'
import type { Asked, Told } from './watched-child.ts'

/**
 * Preloaded (`--import`) into a program that is measured: tells the bench, over the channel of the fork, what
 * the runtime itself has noted about that process.
 */

const RESOLUTION_MS = 1
/** The runtime notes the time between two looks, which is this long when nothing is in between. */
const RESOLUTION_NS = RESOLUTION_MS * 1_000_000
/** After a reset the runtime drops the next interval: only from then on is everything seen. */
const SETTLE_MS = 5

const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
delays.enable()

process.on('message', (asked: Asked | { ask?: undefined }) => {
  if (asked.ask === undefined) return
  answer(asked).then(
    (told) => process.send?.(told),
    (error: unknown) => process.stderr.write(`the watch of a measured process: ${error}\n`),
  )
})

async function answer(asked: Asked): Promise<Told> {
  if (asked.ask === 'heap') {
    // What one collection makes garbage of (weak references, finalizers), the next takes.
    for (let times = 0; times < 3; times += 1) {
      global.gc?.()
      await pause(SETTLE_MS)
    }
  }
  const { user, system } = process.cpuUsage()
  const told: Told = {
    id: asked.id,
    loop: { p50: delayMs(delays, 50), p99: delayMs(delays, 99), max: toMs(delays.max) },
    cpuSeconds: (user + system) / 1_000_000,
    heapBytes: process.memoryUsage().heapUsed,
  }
  delays.reset()
  await pause(SETTLE_MS)
  return told
}

function delayMs(histogram: ELDHistogram, percent: number): number {
  return histogram.count === 0 ? 0 : toMs(histogram.percentile(percent))
}

function toMs(betweenNs: number): number {
  return Math.max(0, (betweenNs - RESOLUTION_NS) / 1_000_000)
}
