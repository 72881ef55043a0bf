import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SettingErrors } from '@sluice/shared/settings'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from './config.ts'

const DATABASE = { SLUICE_DATABASE_URL: 'postgres://127.0.0.1/sluice' }

let dataDir: string
beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'sluice-config-'))
})
afterAll(() => rmSync(dataDir, { recursive: true }))

test.each([
  ['::1', 'http://[::1]:3000'],
  ['fd00::1', 'http://[fd00::1]:3000'],
  ['::', 'http://127.0.0.1:3000'],
  ['0.0.0.0', 'http://127.0.0.1:3000'],
  ['api.internal', 'http://api.internal:3000'],
])('HOST=%s gives URLs that are URLs: %s', (host, url) => {
  const { http, store } = readConfig({ ...DATABASE, HOST: host })
  expect(http.publicUrl).toBe(url)
  expect(store).toMatchObject({ kind: 'disk', baseUrl: url, publicBaseUrl: url })
  expect(URL.canParse(url)).toBe(true)
})

test('clients and workers are given the URLs that are set, without a trailing slash', () => {
  const env = { SLUICE_PUBLIC_URL: 'https://video.example/', SLUICE_INTERNAL_URL: 'http://api:3000//' }
  const { http, store } = readConfig({ ...DATABASE, ...env })
  expect(http.publicUrl).toBe('https://video.example')
  expect(store).toMatchObject({ baseUrl: 'http://api:3000', publicBaseUrl: 'https://video.example' })
})

test.each([
  'REDIS_URL',
  'SLUICE_INTERNAL_URL',
  'SLUICE_MODERATION_URL',
  'SLUICE_PUBLIC_URL',
  'SLUICE_REFINER_URL',
  'SLUICE_S3_ENDPOINT',
])('%s is refused unless it is a URL of the right scheme', (name) => {
  for (const given of ['127.0.0.1:3000', 'ftp://127.0.0.1', '::1'])
    expect(() => readConfig({ ...DATABASE, [name]: given })).toThrow(`${name} is "`)
})

test.each(['SLUICE_WORKER_TOKEN', 'SLUICE_SECRET'])(
  '%s has a length that nobody guesses, and a placeholder is refused where others can reach the API',
  (name) => {
    const typed = 'change-me-change-me-change-me-change-me'
    expect(() => readConfig({ ...DATABASE, [name]: 'x' })).toThrow(`${name} is "(1 characters)"`)
    for (const host of ['127.0.0.1', '::1', 'localhost'])
      readConfig({ ...DATABASE, HOST: host, [name]: typed })
    for (const host of ['0.0.0.0', '::', '10.0.0.7', 'api.internal']) {
      const read = () => readConfig({ ...DATABASE, HOST: host, [name]: typed })
      expect(read).toThrow(`${name} is "(a secret that can be guessed, with HOST=${host})"`)
    }
  },
)

test('S3 credentials come in pairs, and a bucket has a name that a bucket can have', () => {
  const s3 = { ...DATABASE, SLUICE_S3_ENDPOINT: 'http://s3:7070' }
  expect(() => readConfig({ ...s3, AWS_ACCESS_KEY_ID: 'id' })).toThrow(/^AWS_SECRET_ACCESS_KEY is not set/)
  for (const bucket of ['Videos', 'a', 'a/b', '-ab'])
    expect(() => readConfig({ ...s3, SLUICE_S3_BUCKET: bucket })).toThrow(/^SLUICE_S3_BUCKET is/)
})

test('one error names every setting at fault, each once', () => {
  const env = {
    PORT: 'x',
    SLUICE_SECRET: 'short',
    SLUICE_CURRENCY: 'dollar',
    SLUICE_FLEX_MULTIPLIER_BPS: '0',
  }
  let thrown: unknown
  try {
    readConfig(env)
  } catch (error) {
    thrown = error
  }
  if (!(thrown instanceof SettingErrors)) throw thrown
  expect(thrown.errors.map(({ setting }) => setting).sort()).toEqual(
    [...Object.keys(env), 'SLUICE_DATABASE_URL'].sort(),
  )
})

test.each([
  // As `npm start` in front of another installation that makes `animatic`.
  [{ SLUICE_RUNNER: 'engine', SLUICE_MODEL: 'animatic' }, 'animatic'],
  [{ SLUICE_MODEL: 'open-sora-2, animatic' }, 'open-sora-2'],
  [{ SLUICE_MODEL: 'one-that-only-a-runner-knows' }, 'animatic'],
  [{ SLUICE_MODEL: 'open-sora-2', SLUICE_DEFAULT_MODEL: 'animatic' }, 'animatic'],
])('with %j in its environment requests that name no model are for %s', (env, model) => {
  expect(readConfig({ ...DATABASE, ...env }).defaultModel).toBe(model)
})

test('with S3 what only the disk store needs is ignored, whatever it is', () => {
  const env = { SLUICE_S3_ENDPOINT: 'http://127.0.0.1:7070', SLUICE_SECRET: 'short' }
  const { store } = readConfig({ ...DATABASE, ...env, SLUICE_INTERNAL_URL: 'api:3000' })
  expect(store.kind).toBe('s3')
})

test('reading the settings leaves no trace in the data dir', () => {
  const config = readConfig({ ...DATABASE, SLUICE_DATA_DIR: dataDir })
  expect(config.dataDir).toBe(dataDir)
  expect(config.store).toMatchObject({ secret: { file: join(dataDir, 'secret') } })
  expect(readdirSync(dataDir)).toEqual([])
})
