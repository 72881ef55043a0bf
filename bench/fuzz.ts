/**
 * Sends random requests, valid and mutated, made from the API's own document, on every call, with right,
 * wrong and missing keys, while a worker makes the accepted videos. Prints answers by status and requests per
 * second. Exits with 1 when an answer is a 5xx or undocumented, when a call was refused every time, or when
 * money stays held after everything is cancelled.
 * FUZZ_REQUESTS (20000) sets the number of requests, FUZZ_SEED which ones.
 */
import { join } from 'node:path'
import { eventually } from '../test/support/eventually.ts'
import { fuzz, settleAndCheck } from '../test/support/fuzz.ts'
import { startApiProcess } from './rig/api-process.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asRate, printTable } from './rig/statistics.ts'
import { startWorkerProcess } from './rig/worker-process.ts'

const REQUESTS = 20_000
const count = Number(process.env.FUZZ_REQUESTS ?? REQUESTS)
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
const CONNECTIONS = 8

const postgres = await startBenchPostgres()
try {
  const api = await startApiProcess({
    databaseUrl: postgres.server.databaseUrl,
    redisUrl: null,
    dataDir: join(postgres.dir, 'api'),
    env: { SLUICE_WEBHOOK_ALLOW_HOSTS: '127.0.0.1' },
  })
  // A worker, so that each call also meets running, completed and charged videos.
  const worker = await startWorkerProcess(api, {
    queueUrl: postgres.server.queueUrl,
    dataDir: join(postgres.dir, 'worker'),
  })
  const finished = [await completeVideo(api)]
  const result = await fuzz(api, { count, seed, connections: CONNECTIONS, finished })
  printTable(`${result.requests} requests, ${CONNECTIONS} connections, seed ${seed}`, [
    ['answer', 'requests'],
    ...Object.entries(result.statuses).map(([status, requests]) => [status, String(requests)]),
    ['per second', asRate(result.requests / result.seconds)],
  ])
  for (const fault of result.faults) process.stdout.write(`fault: ${fault}\n`)
  if (result.neverDone.length > 0) {
    process.stdout.write(`never done, only refused: ${result.neverDone.join(', ')}\n`)
  }
  const left = await settleAndCheck(api)
  await worker.stop()
  process.stdout.write(
    `the ledger is right: ${left.videos} videos of ${left.accounts} accounts held what the accounts held; ` +
      `${left.cancelled} cancelled, nothing is held\n`,
  )
  const isTooNarrow = count >= REQUESTS && result.neverDone.length > 0
  if (result.faults.length > 0 || isTooNarrow || result.requests < count) process.exitCode = 1
  await api.stop()
} finally {
  await postgres.stop()
}

async function completeVideo(api: { url: string; key: string }): Promise<string> {
  const call = async (
    method: string,
    path: string,
    body?: object,
  ): Promise<{ id: string; status: string }> => {
    const headers = { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' }
    const response = await fetch(api.url + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    })
    return response.json() as Promise<{ id: string; status: string }>
  }
  const { id } = await call('POST', '/v1/videos', { prompt: 'a paper boat', num_frames: 5, num_steps: 2 })
  const { status } = await eventually(
    () => call('GET', `/v1/videos/${id}`),
    (video) => video.status === 'completed' || video.status === 'failed',
  )
  if (status !== 'completed') throw new Error(`the video before the run ended as ${status}`)
  return id
}
