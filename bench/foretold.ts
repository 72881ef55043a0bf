/**
 * Runs 300 mixed videos (shapes, tiers, accounts) on three animatic workers of different pace, and prints
 * what the simulation foretold of that load beside what came: how busy each pool was, and how long videos
 * waited. Prints as well how right the first `eta_seconds` of each video was, and what /metrics says of that.
 * Real API, workers and runners; before the load 48 videos teach the service its paces.
 */
import { writeFile } from 'node:fs/promises'
import { tierWaits, utilisations } from './rig/foretold/foretell.ts'
import { askedOf } from './rig/foretold/load.ts'
import { medianError, shareWithin } from './rig/foretold/right.ts'
import { startForetoldService } from './rig/foretold/service.ts'
import { asPercent, printTable } from './rig/statistics.ts'

const VIDEOS = Number(process.env.SLUICE_BENCH_VIDEOS ?? 300)
const SEED = Number(process.env.SLUICE_BENCH_SEED ?? 1)
const seconds = (value: number) => `${value.toFixed(1)} s`

const service = await startForetoldService()
await service.warmUp()
const asked = askedOf(SEED, VIDEOS)
const paces = await service.paces()
const made = await service.run(asked)
const metrics = await service.etaMetrics()
if (process.env.SLUICE_BENCH_RAW !== undefined)
  await writeFile(process.env.SLUICE_BENCH_RAW, JSON.stringify(made))
await service.stop()

printTable(`${VIDEOS} videos, seed ${SEED}: what was foretold of the load, and what came`, [
  ['', 'foretold', 'real', 'ratio'],
  ...utilisations(asked, paces, made).map(({ name, foretold, real }) => [
    `${name} busy`,
    asPercent(foretold),
    asPercent(real),
    (real / foretold).toFixed(2),
  ]),
  ...tierWaits(asked, paces, made).map(({ name, foretold, real }) => [
    `${name} waits`,
    seconds(foretold),
    seconds(real),
    (real / foretold).toFixed(2),
  ]),
])
const groups = [
  ['all', made],
  ...(['priority', 'standard', 'flex'] as const).map(
    (tier) => [tier, made.filter((video) => video.tier === tier)] as const,
  ),
] as const
printTable('the first eta_seconds of each video', [
  ['', 'videos', 'without', 'median error', 'within p90'],
  ...groups.map(([name, videos]) => [
    name,
    String(videos.length),
    String(videos.filter(({ eta }) => eta === null).length),
    asPercent(medianError(videos)),
    asPercent(shareWithin(videos)),
  ]),
])
process.stdout.write(`  at /metrics:\n${metrics.map((line) => `    ${line}\n`).join('')}`)
