import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newClaim, newId } from '@sluice/shared/ids'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { type StandInApi, startStandInApi } from '../../../../test/support/stand-in-api.ts'
import { ReportClient } from './report-client.ts'
import { Spool } from './spool.ts'

interface Setting {
  api: StandInApi
  dir: string
  spool: Spool
  entry: Parameters<Spool['add']>[0]
  /** Where the entry is written before it is renamed. */
  newFile: string
  log: string[]
}

async function setting(options: ConstructorParameters<typeof Spool>[3] = {}): Promise<Setting> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-spool-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const api = await startStandInApi()
  onTestFinished(() => api.close())
  const log: string[] = []
  const logger = pino({ level: 'info' }, { write: (line) => log.push(JSON.parse(line).msg) })
  const spool = new Spool(dir, new ReportClient(api.url, api.token, logger), logger, options)
  onTestFinished(() => spool.stop())
  const [video, claim] = [newId('video'), newClaim()]
  const report = { type: 'yielded', step: 3, claim, worker: 'worker_a' } as const
  const newFile = join(dir, `${video}-1-${claim}.json.new`)
  return { api, dir, spool, entry: { video, fence: 1, report }, newFile, log }
}

/** Every write to it fails with ENOSPC, as on a full disk. */
const FULL = '/dev/full'
const testFull = test.skipIf(!existsSync(FULL))

test('a report is on the disk before it is sent, and gone once it is answered', async () => {
  const { api, dir, spool, entry } = await setting()
  spool.add(entry)
  expect(readdirSync(dir).map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')))).toEqual([entry])
  expect(api.reports).toEqual([])
  await spool.drained()
  expect(api.reports).toMatchObject([{ video: entry.video, report: entry.report }])
  expect(readdirSync(dir)).toEqual([])
})

test('in place of a report that the API refuses the attempt is reported as failed, so that it ends', async () => {
  const { api, dir, spool, entry, log } = await setting()
  api.answer = ({ report }) => (report.type === 'failed' ? 'continue' : 400)
  spool.add(entry)
  await spool.drained()
  expect(api.reports.map(({ report }) => report)).toMatchObject([
    { type: 'yielded' },
    { type: 'failed', claim: entry.report.claim, code: 'internal', retryable: true },
  ])
  expect(readdirSync(dir)).toEqual([])
  expect(log).toContainEqual(expect.stringMatching(/was refused; its attempt is reported as failed/))
})

test('a report that the API refuses in every form is dropped with a line in the log', async () => {
  const { api, dir, spool, entry, log } = await setting()
  api.answer = () => 422
  spool.add(entry)
  await spool.drained()
  expect(api.reports.map(({ report }) => report.type)).toEqual(['yielded', 'failed'])
  expect(readdirSync(dir)).toEqual([])
  expect(spool.owned()).toEqual([])
  expect(log).toContainEqual(expect.stringMatching(/will never be accepted; it is dropped/))
})

test('a 4xx that is not the API’s own, such as that of a proxy in front of it, refuses nothing', async () => {
  const { api, spool, entry } = await setting()
  api.answer = () => (api.reports.length === 0 ? 'a proxy answers 404' : 'continue')
  spool.add(entry)
  await spool.drained()
  expect(api.reports.map(({ report }) => report.type)).toEqual(['yielded', 'yielded'])
})

test('a report at which the API fails again and again no longer keeps its attempt alive, and is sent all the same', async () => {
  const { api, spool, entry } = await setting({ brokenAnswersMax: 2 })
  api.answer = () => (api.reports.length < 3 ? 500 : 'stop')
  spool.add(entry)
  expect(spool.owned()).toHaveLength(1)
  await expect.poll(() => spool.owned()).toEqual([])
  await spool.drained()
  expect(api.reports).toHaveLength(4)
})

test('a file of the spool that can be neither read nor set aside keeps no other report from being sent', async () => {
  const { api, dir, spool, entry, log } = await setting()
  // The spool reads its files by name.
  for (const name of ['0.json', '1.json']) {
    writeFileSync(join(dir, name), 'half a rep')
    mkdirSync(join(dir, `${name}.unreadable`))
  }
  mkdirSync(join(dir, '2.new'))
  writeFileSync(join(dir, `${entry.video}-1-${entry.report.claim}.json`), JSON.stringify(entry))
  spool.resendAll()
  await spool.drained()
  expect(api.reports).toMatchObject([{ video: entry.video, report: entry.report }])
  expect(log.filter((line) => line.endsWith('can be neither used nor moved'))).toHaveLength(3)
})

testFull('a report that the disk cannot take is sent from memory, and the failure is logged', async () => {
  const { api, dir, spool, entry, newFile, log } = await setting()
  symlinkSync(FULL, newFile)
  spool.add(entry)
  expect(spool.owned()).toEqual([{ video: entry.video, fence: 1, claim: entry.report.claim }])
  await spool.drained()
  expect(api.reports).toMatchObject([{ video: entry.video, report: entry.report }])
  expect(log).toContainEqual(expect.stringMatching(/cannot be written to the spool; it is sent from memory/))
  expect(readdirSync(dir)).toEqual([])
  expect(spool.owned()).toEqual([])
})

testFull('an unanswered report is written as soon as the disk has room', async () => {
  const { api, dir, spool, entry, newFile, log } = await setting()
  api.answer = () => 503
  symlinkSync(FULL, newFile)
  spool.add(entry)
  await api.reported(({ video }) => video === entry.video)
  expect(readdirSync(dir).filter((name) => name.endsWith('.json'))).toEqual([])
  rmSync(newFile)
  await expect.poll(() => readdirSync(dir)).toEqual([expect.stringMatching(/\.json$/)])
  expect(log).toContain('the spool has room again')
})

testFull('a stop writes what could not be written before, and says what is lost otherwise', async () => {
  const { api, dir, spool, entry, newFile } = await setting()
  api.answer = () => 503
  symlinkSync(FULL, newFile)
  spool.add(entry)
  rmSync(newFile)
  spool.stop()
  expect(readdirSync(dir)).toEqual([expect.stringMatching(/\.json$/)])

  const other = await setting()
  other.api.answer = () => 503
  symlinkSync(FULL, other.newFile)
  other.spool.add(other.entry)
  other.spool.stop()
  expect(other.log).toContainEqual(expect.stringMatching(/is lost: the disk of the spool cannot take it/))
})
