/**
 * Finds the smallest memory of a container in which the API does its work: it is started in a cgroup with a
 * limit, sends videos through from beginning to end beside reads of all kinds, and takes an image of 10 MiB
 * when SLUICE_BENCH_IMAGES is 1. The limit holds when the process lives, no call fails, and videos end at
 * least half as fast as with a gibibyte in the same run. Bisected to 16 MiB. It takes Linux and root.
 * SLUICE_BENCH_VIDEOS (1,200) sets the videos of each try.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { integerSetting } from '@sluice/shared/settings'
import sharp from 'sharp'
import { createBenchAccounts } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { BenchWorker } from './rig/bench-worker.ts'
import { type MemoryCage, openMemoryCage } from './rig/memory-cage.ts'
import { type BenchPostgres, startBenchPostgres } from './rig/postgres.ts'
import { asRate, printTable } from './rig/statistics.ts'
import { WholeLives } from './rig/whole-lives.ts'

const VIDEOS = integerSetting(process.env, 'SLUICE_BENCH_VIDEOS', 1_200, { min: 100, max: 1_000_000 })
const WITH_IMAGES = process.env.SLUICE_BENCH_IMAGES === '1'
const PLENTY_MIB = 1_024
const LEAST_MIB = 64
const STEP_MIB = 16
const SLOTS = 8

/** How a try went. */
interface Try {
  mib: number
  rate: number
  peakMib: number
  why: string
}

const tries: Try[] = []
const plenty = await tryWith(PLENTY_MIB)
if (plenty.why !== '') throw new Error(`with ${PLENTY_MIB} MiB: ${plenty.why}`)
let [tooLittle, enough] = [LEAST_MIB, PLENTY_MIB]
while (enough - tooLittle > STEP_MIB) {
  const mib = Math.round((tooLittle + enough) / 2 / STEP_MIB) * STEP_MIB
  const tried = await tryWith(mib)
  if (tried.why === '' && tried.rate * 2 >= plenty.rate) enough = mib
  else tooLittle = mib
}
printTable(
  `the smallest memory that holds, ${VIDEOS} videos${WITH_IMAGES ? ' and the largest images' : ''}: ` +
    `${enough} MiB`,
  [
    ['limit', 'videos ended', 'peak', ''],
    ...tries
      .sort((a, b) => b.mib - a.mib)
      .map(({ mib, rate, peakMib, why }) => [
        `${mib} MiB`,
        asRate(rate),
        `${peakMib.toFixed(0)} MiB`,
        why === '' && rate * 2 < plenty.rate ? 'too slow' : why,
      ]),
  ],
)

async function tryWith(mib: number): Promise<Try> {
  const postgres = await startBenchPostgres()
  const cage = await openMemoryCage(mib)
  const tried = { mib, rate: 0, peakMib: 0, why: '' }
  try {
    tried.rate = await rateInside(postgres, cage)
  } catch (error) {
    tried.why = (error as Error).message.slice(0, 60)
  }
  tried.peakMib = await cage.peakMib()
  await postgres.stop()
  await cage.remove()
  tries.push(tried)
  return tried
}

/** Videos that end per second. Throws when the process dies, or a call fails. */
async function rateInside(postgres: BenchPostgres, cage: MemoryCage): Promise<number> {
  const dataDir = join(postgres.dir, 'api')
  const { databaseUrl, queueUrl } = postgres.server
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir, cage: cage.door })
  try {
    const keys = (await createBenchAccounts(databaseUrl, dataDir, 4)).map(({ key }) => key)
    const worker = new BenchWorker(
      api,
      { backend: 'postgres', url: queueUrl, connectionsMax: 4 },
      { pool: 'bench', slots: SLOTS },
    )
    await worker.heartbeat()
    const lives = new WholeLives(api, [worker], SLOTS)
    const startedAtMs = performance.now()
    const ended = lives.run(VIDEOS, keys).then(() => performance.now())
    await Promise.race([api.exited, Promise.all([ended, readsBeside(api, keys), images(api, keys)])])
    const rate = (VIDEOS * 1_000) / ((await ended) - startedAtMs)
    await worker.close()
    return rate
  } finally {
    await api.stop()
  }
}

async function readsBeside(api: ApiProcess, keys: readonly string[]): Promise<void> {
  for (let turn = 0; turn < VIDEOS / 20; turn += 1) {
    for (const path of ['/v1/videos?limit=100', '/v1/credits', '/v1/key'])
      await answered(api, path, { key: keys[turn % keys.length] ?? '' })
    await answered(api, '/metrics', { key: api.adminKey })
  }
}

/** The largest image there may be, from several accounts at a time. */
async function images(api: ApiProcess, keys: readonly string[]): Promise<void> {
  if (!WITH_IMAGES) return
  const [width, height] = [7_700, 5_100]
  const tile = await sharp(randomBytes(256 * 256 * 3), { raw: { width: 256, height: 256, channels: 3 } })
    .resize(width, height)
    .jpeg({ quality: 50 })
    .toBuffer()
  const image = `data:image/jpeg;base64,${tile.toString('base64')}`
  const body = { prompt: 'a paper boat', num_frames: 5, num_steps: 2, input_reference: image }
  await Promise.all(keys.map((key) => answered(api, '/v1/videos', { key, body })))
}

async function answered(
  api: ApiProcess,
  path: string,
  { key, body }: { key: string; body?: object },
): Promise<void> {
  const answer = await fetch(api.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: body === undefined ? null : JSON.stringify(body),
  })
  await answer.arrayBuffer()
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
}
