import { mkdir, readFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../../test/support/eventually.ts'
import type { ApiProcess } from '../api-process.ts'
import { BenchWorker } from '../bench-worker.ts'
import { submissionOf } from '../load.ts'
import { SMALL } from '../small.ts'
import { startWorkerProcess } from '../worker-process.ts'
import { type AtWork, type Contender, STORE_MS, WORK_MS } from './contender.ts'

const TIMED_RUNNER = fileURLToPath(new URL('../timed-runner.ts', import.meta.url))
const STEPS = 20
const WORK_OFF_MS_MAX = 120_000
/** Until the pool's pace is known, nothing is sent ahead. */
const WARM_UP = 8

interface SluiceParts {
  api: ApiProcess
  accounts: readonly { key: string }[]
  queueUrl: string
  dir: string
}

/** Sluice, with submissions of these accounts in turn. */
export async function openSluiceContender(name: string, parts: SluiceParts): Promise<Contender> {
  const { api, accounts, queueUrl } = parts
  const queue = { backend: 'postgres', url: queueUrl, connectionsMax: 4 } as const
  let worker: BenchWorker | undefined
  const requests = accounts.map(({ key }) => submissionOf(api, key))
  return {
    name,
    url: api.url,
    acceptRequest: (turn) => requests[turn % requests.length] ?? Buffer.alloc(0),
    startMs: async () => {
      if (worker === undefined) {
        worker = new BenchWorker(api, queue, { pool: 'bench' })
        await worker.heartbeat()
      }
      const fetched = worker.next()
      const startedAtMs = performance.now()
      const submitted = api.submit(SMALL, accounts[0]?.key)
      const attempt = await fetched
      await attempt.report({ type: 'taken', slot: 0 })
      const tookMs = performance.now() - startedAtMs
      await submitted
      await attempt.report({ type: 'failed', code: 'bad_input', message: '', retryable: false, step: 0 })
      return tookMs
    },
    workOff: async (videos) => {
      await worker?.close()
      worker = undefined
      return workOff(parts, videos)
    },
    close: async () => worker?.close(),
  }
}

/** With the real worker and the animatic runner, whose device is watched from outside. */
async function workOff({ api, accounts, queueUrl, dir }: SluiceParts, videos: number): Promise<AtWork> {
  for (let index = 0; index < WARM_UP + videos; index += 1)
    await api.submit({ ...SMALL, num_steps: STEPS }, accounts[index % accounts.length]?.key)
  const workPath = join(dir, 'work')
  await mkdir(dir, { recursive: true })
  const worker = await startWorkerProcess(api, {
    queueUrl,
    dataDir: join(dir, 'worker'),
    env: {
      SLUICE_RUNNER_COMMAND: `${process.execPath} ${TIMED_RUNNER}`,
      SLUICE_MODEL: 'animatic',
      SLUICE_GRACE_MS: '10000',
      SLUICE_POOL: 'animatic',
      SLUICE_ANIMATIC_STEP_MS: String(WORK_MS / STEPS),
      SLUICE_ANIMATIC_GAPS: join(dir, 'gaps'),
      SLUICE_ANIMATIC_WORK: workPath,
    },
  })
  const spans = async () =>
    (await readFile(workPath, 'utf8').catch(() => ''))
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' ').map(Number))
  const all = await eventually(spans, ({ length }) => length >= WARM_UP + videos, WORK_OFF_MS_MAX)
  const seen = all.slice(WARM_UP, WARM_UP + videos)
  await worker.stop()
  const workMs = seen.reduce((sum, [beganMs = 0, endedMs = 0]) => sum + endedMs - beganMs, 0)
  return { workMs, allMs: (seen.at(-1)?.[1] ?? 0) - (seen[0]?.[0] ?? 0) }
}

/** A store that is STORE_MS away: passes each request on to `target` after that long. */
export async function openDistantStore(
  target: () => string,
): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    const { hostname, port } = new URL(target())
    setTimeout(() => {
      const { method, headers, url: path } = incoming
      const passed = request({ hostname, port, path, method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      })
      passed.once('error', () => outgoing.destroy())
      incoming.pipe(passed)
    }, STORE_MS)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
