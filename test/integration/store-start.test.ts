import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { doctor } from '../../apps/cli/src/doctor/doctor.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { startS3rver } from '../support/start-s3rver.ts'

const MAIN = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url))

let api: TestApi
let worker: HandWorker
beforeAll(async () => {
  api = await startTestApi()
  worker = new HandWorker(api)
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(async () => {
  await worker.close()
  await api.stop()
})

const ready = async () => (await api.call('GET', '/ready', undefined, { key: api.adminKey })).body

async function startWebsite(): Promise<string> {
  const server = createServer((_request, response) => response.end('<h1>It works</h1>')).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const S3_KEYS = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' }

async function storeFindings(env: Record<string, string>): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-doctor-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const lines: string[] = []
  const settings = { SLUICE_DATA_DIR: dataDir, PORT: String(await freePort()), ...S3_KEYS, ...env }
  await doctor({ ...process.env, ...settings }, (line) => lines.push(line))
  return lines.filter((line) => /^. (store|clock) /.test(line)).join('\n')
}

test('an API whose S3 endpoint is no S3 server ends with exit code 2 and one line that names the setting', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-start-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const endpoint = await startWebsite()
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...process.env,
      ...S3_KEYS,
      PORT: String(await freePort()),
      SLUICE_DATABASE_URL: api.database.databaseUrl,
      SLUICE_DATA_DIR: dataDir,
      SLUICE_S3_ENDPOINT: endpoint,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  expect(said).toBe(`SLUICE_S3_ENDPOINT is "${endpoint}": no S3 server answers there\n`)
  expect(code).toBe(2)
})

test('doctor judges the S3 settings as a start does', async () => {
  const endpoint = await startWebsite()
  expect(await storeFindings({ SLUICE_S3_ENDPOINT: endpoint })).toContain(
    `✗ store        SLUICE_S3_ENDPOINT is "${endpoint}": no S3 server answers there`,
  )
  const s3 = await startS3rver()
  onTestFinished(() => s3.close())
  const found = await storeFindings({ SLUICE_S3_ENDPOINT: s3.endpoint, SLUICE_S3_BUCKET: 'to-be-made' })
  expect(found).toContain('· store        SLUICE_S3_BUCKET is "to-be-made"')
  expect(found).toContain('✓ clock        within')
})

test('/ready and doctor say when this machine’s clock is wrong, and by how much', async () => {
  await worker.heartbeat()
  await eventually(ready, ({ status }) => status === 'ready')
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 9_000_000 })
  const { missing } = await eventually(ready, ({ status }) => status === 'not_ready')
  expect(missing).toEqual([
    {
      part: 'clock',
      problem: expect.stringMatching(
        /^this machine's clock is (9000|9001|899\d) s behind that of the database$/,
      ),
    },
  ])
  const { databaseUrl, queueUrl } = api.database
  expect(await storeFindings({ SLUICE_DATABASE_URL: databaseUrl, SLUICE_QUEUE_URL: queueUrl })).toMatch(
    /^✗ clock +this machine's clock is \d+ s behind that of the database/,
  )
})

test('an API does not take an empty folder for its store while the database knows files in it', async () => {
  await worker.heartbeat()
  await api.call('POST', '/v1/videos', { prompt: 'a paper boat', num_frames: 5, num_steps: 2 })
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  const dir = await mkdtemp(join(tmpdir(), 'sluice-mount-point-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const { store } = api.config
  if (store.kind !== 'disk') throw new Error('these tests are of the disk store')
  await expect(api.replica({ store: { ...store, dir } })).rejects.toThrow(
    /^SLUICE_DATA_DIR is ".*": it is empty, but the database knows files in it: mount it; /,
  )
  // What the operator makes who knows that they are lost.
  await writeFile(join(dir, '~store'), '')
  await (await api.replica({ store: { ...store, dir } })).stop()
})

test('/ready says that the folder of the objects is not mounted, until it is', async () => {
  await worker.heartbeat()
  await eventually(ready, ({ status }) => status === 'ready')
  const dir = join(api.dataDir, 'objects')
  await rename(dir, `${dir}-away`)
  const { missing } = await eventually(ready, ({ status }) => status === 'not_ready')
  expect(missing).toEqual([{ part: 'store', problem: expect.stringContaining('SLUICE_DATA_DIR') }])
  await rename(`${dir}-away`, dir)
  await eventually(ready, ({ status }) => status === 'ready')
})
