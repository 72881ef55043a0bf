import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readdir, rename, rm, rmdir, utimes, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3'
import express from 'express'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type FaultyLink, startFaultyLink } from '../../../../test/support/faulty-link.ts'
import { openFilesBelow } from '../../../../test/support/open-files.ts'
import { mayMount, mountSmallDisk } from '../../../../test/support/small-disk.ts'
import { startS3rver } from '../../../../test/support/start-s3rver.ts'
import { openDiskStore } from './disk-store.ts'
import type { ObjectStore } from './object-store.ts'
import { type OpenStoreOptions, openStore } from './open-store.ts'
import { openS3Store } from './s3-store.ts'

const BINARY = 'application/octet-stream'
const AWAY = { name: 'StoreUnavailableError', reason: 'away' }
const outcomeOf = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error)

/** Every call that asks the store, on a key and a folder that are there. */
const everyCall = (store: ObjectStore): Record<string, () => Promise<unknown>> => ({
  head: () => store.head('t/a.bin'),
  get: () => store.get('t/a.bin'),
  'get of a range': () => store.get('t/a.bin', { start: 0, end: 1 }),
  readText: () => store.readText('t/a.bin', 100),
  put: () => store.put('t/b.bin', Buffer.from('b'), BINARY),
  copy: () => store.copy('t/a.bin', 't/c.bin'),
  deletePrefix: () => store.deletePrefix('t'),
  'head of an absent object': () => store.head('t/none.bin'),
})

describe('an S3 store', () => {
  let s3: Awaited<ReturnType<typeof startS3rver>>
  let link: FaultyLink
  let store: ObjectStore
  let bucket: string
  const limits = { connectMs: 500, firstByteMs: 100, silenceMs: 100, answerMs: 250, fileMs: 400 }

  beforeAll(async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'S3RVER')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'S3RVER')
    s3 = await startS3rver()
    link = await startFaultyLink({ host: '127.0.0.1', port: Number(new URL(s3.endpoint).port) })
    bucket = `faults-${randomBytes(4).toString('hex')}`
    const endpoint = `http://127.0.0.1:${link.port}`
    const settings = { endpoint, bucket, region: 'us-east-1', forcePathStyle: true } as const
    // With its usual limits, so that the first calls cannot fail on a busy machine.
    const patient = await openS3Store(settings)
    await patient.put('t/a.bin', Buffer.from('a'), BINARY)
    await patient.close()
    store = await openS3Store(settings, { limits: { ...limits, startMs: 20_000 } })
  })
  afterEach(() => {
    link.state = 'pass'
  })
  afterAll(async () => {
    await store.close()
    await link.close()
    await s3.close()
    vi.unstubAllEnvs()
  })

  test('that accepts and never answers fails every call within its limit, and serves again at once', async () => {
    const works = async () => expect(await store.readText('t/a.bin', 100)).toBe('a')
    await vi.waitFor(works, { timeout: 20_000 })
    link.state = 'silent'
    const outcomes = await Promise.all(
      Object.entries(everyCall(store)).map(async ([name, call]) => [name, await outcomeOf(call())] as const),
    )
    for (const [name, outcome] of outcomes) expect(outcome, name).toMatchObject(AWAY)
    await expect(store.ping()).rejects.toMatchObject({ setting: 'SLUICE_S3_ENDPOINT' })
    // The connections of before stay silent: only new ones work.
    const silentUntil = link.made
    link.state = 'pass'
    await vi.waitFor(works, { timeout: 20_000 })
    expect(link.made).toBeGreaterThan(silentUntil)
  })

  test('that falls silent in the middle of an object fails whoever reads it', async () => {
    await vi.waitFor(() => store.put('t/long.bin', randomBytes(4_000_000), BINARY), { timeout: 20_000 })
    const opened = await vi.waitFor(() => store.get('t/long.bin'), { timeout: 20_000 })
    link.state = 'silent'
    await expect(opened === null ? null : buffer(opened.body)).rejects.toThrow()
  })

  test('whose bucket is gone is away: nothing in it reads as absent', async () => {
    const direct = new S3Client({ endpoint: s3.endpoint, region: 'us-east-1', forcePathStyle: true })
    await vi.waitFor(() => store.deletePrefix('t'), { timeout: 20_000 })
    await direct.send(new DeleteBucketCommand({ Bucket: bucket }))
    direct.destroy()
    for (const [name, call] of Object.entries(everyCall(store)))
      expect(await outcomeOf(call()), name).toMatchObject(AWAY)
    await expect(store.ping()).rejects.toMatchObject({ setting: 'SLUICE_S3_BUCKET' })
  })
})

describe('a disk store', () => {
  const settings = { baseUrl: 'http://127.0.0.1', secret: 's'.repeat(32) }
  const newFolder = async (): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-faults-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    return folder
  }

  test.each(['gone', 'an empty folder, as a mount point is', 'another store'])(
    'whose folder is %s is away: nothing reads as absent, is deleted or is written, until it is back',
    async (state) => {
      const folder = await newFolder()
      const dir = join(folder, 'objects')
      const store = await openDiskStore({ ...settings, dir })
      onTestFinished(() => store.close())
      await store.put('t/a.bin', Buffer.from('a'), BINARY)
      await rename(dir, join(folder, 'away'))
      if (state === 'an empty folder, as a mount point is') await mkdir(dir)
      if (state === 'another store') await (await openDiskStore({ ...settings, dir })).close()
      for (const [name, call] of Object.entries(everyCall(store)))
        expect(await outcomeOf(call()), name).toMatchObject(AWAY)
      await expect(store.ping()).rejects.toMatchObject({ setting: 'SLUICE_DATA_DIR' })
      if (state === 'an empty folder, as a mount point is') {
        expect(await readdir(dir)).toEqual([])
        await rmdir(dir)
      } else if (state === 'another store') await rm(dir, { recursive: true })
      await rename(join(folder, 'away'), dir)
      expect(await store.readText('t/a.bin', 100)).toBe('a')
      await store.ping()
      expect(await store.deletePrefix('t')).toBe(1)
    },
  )

  test('on a disk that hangs fails within the limit, never with all threads of Node, and serves again', async () => {
    const dir = join(await newFolder(), 'objects')
    const store = await openDiskStore({ ...settings, dir }, { limits: { diskStepMs: 300 } })
    onTestFinished(() => store.close())
    await store.put('t/a.bin', Buffer.from('a'), BINARY)
    // Opening a pipe hangs until somebody writes to it, as a step on a dead network mount does.
    const pipe = join(dir, 't/pipe.bin')
    execFileSync('mkfifo', [pipe])
    const hanging = await Promise.all(Array.from({ length: 6 }, () => outcomeOf(store.head('t/pipe.bin'))))
    for (const outcome of hanging) expect(outcome).toMatchObject(AWAY)
    await expect(store.head('t/a.bin')).rejects.toMatchObject({ message: 'the disk hangs' })
    // A thread is left for this.
    const writer = await open(pipe, 'r+')
    await vi.waitFor(async () => expect(await store.readText('t/a.bin', 100)).toBe('a'))
    await writer.close()
  })

  test('removes what a process that died was writing, and nothing that is being written', async () => {
    const dir = join(await newFolder(), 'objects')
    const store = await openDiskStore({ ...settings, dir })
    onTestFinished(() => store.close())
    for (const [name, ageMs] of [
      ['dead', 600_000],
      ['live', 0],
    ] as const) {
      await writeFile(join(dir, '~unfinished', name), 'half')
      await utimes(join(dir, '~unfinished', name), new Date(), new Date(Date.now() - ageMs))
    }
    await store.removeUnfinished()
    expect(await readdir(join(dir, '~unfinished'))).toEqual(['live'])
  })

  const served = async (dir: string, options: OpenStoreOptions = {}) => {
    const app = express()
    const server = app.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const opened = await openStore({ kind: 'disk', dir, ...settings, baseUrl }, options)
    onTestFinished(() => opened.store.close())
    const errors: unknown[] = []
    const noteError: express.ErrorRequestHandler = (error, _request, response, _next) => {
      errors.push(error)
      response.destroy()
    }
    app.use(opened.routes ?? [], noteError)
    const signed = (key: string) =>
      opened.store.signPut(key, { contentType: 'video/mp4', expiresInSeconds: 60 })
    const put = async (key: string, body: RequestInit['body']) =>
      fetch(await signed(key), {
        method: 'PUT',
        body: body ?? null,
        headers: { 'content-type': 'video/mp4' },
        duplex: 'half',
      })
    return { store: opened.store, put, errors }
  }

  // A container without the right to mount has no other way to a disk that is really full.
  if (mayMount())
    test('that is full refuses a PUT with 507, leaves no half file, and takes it once there is room', async () => {
      const dir = join(await newFolder(), 'objects')
      const disk = mountSmallDisk(dir, 256)
      const { store, put } = await served(dir)
      disk.fill()
      const answer = await put('v/video.mp4', randomBytes(50_000))
      expect(answer.status).toBe(507)
      expect(await answer.json()).toMatchObject({ error: { code: 'store_full', type: 'api_error' } })
      await expect(store.put('v/b.bin', randomBytes(50_000), BINARY)).rejects.toMatchObject({
        reason: 'full',
      })
      await expect(store.ping()).rejects.toMatchObject({ setting: 'SLUICE_DATA_DIR' })
      expect(await readdir(join(dir, '~unfinished'))).toEqual([])
      disk.free()
      expect((await put('v/video.mp4', randomBytes(50_000))).status).toBe(200)
    })

  test('that is away refuses a PUT and a GET with 503, so that they are tried again', async () => {
    const folder = await newFolder()
    const dir = join(folder, 'objects')
    const { store, put } = await served(dir)
    const getUrl = await store.signGet('v/video.mp4', { expiresInSeconds: 60, audience: 'worker' })
    expect((await put('v/video.mp4', 'x')).status).toBe(200)
    await rename(dir, join(folder, 'away'))
    for (const answer of [await put('v/video.mp4', 'x'), await fetch(getUrl)]) {
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
      expect(await answer.json()).toMatchObject({ error: { code: 'store_unavailable' } })
    }
  })

  test('takes no body for what nobody waits for any more, also when that ends in the middle of it', async () => {
    const dir = join(await newFolder(), 'objects')
    let isOpen = false
    const { store, put } = await served(dir, { mayPut: async () => isOpen })
    expect((await put('v/video.mp4', 'late')).status).toBe(410)
    isOpen = true
    const body = ReadableStream.from(
      (async function* () {
        yield Buffer.from('half')
        await vi.waitFor(async () => expect(await readdir(join(dir, '~unfinished'))).toHaveLength(1))
        isOpen = false
        yield Buffer.from('and half')
      })(),
    )
    const answer = await put('v/video.mp4', body)
    expect(answer.status).toBe(410)
    expect(await answer.json()).toMatchObject({ error: { code: 'attempt_ended' } })
    expect(await store.head('v/video.mp4')).toBeNull()
    expect(await readdir(join(dir, '~unfinished'))).toEqual([])
  })

  test('closes the files of clients that go away, whenever they do, and that is no error', async () => {
    const dir = join(await newFolder(), 'objects')
    const { store, errors } = await served(dir)
    await store.put('v/video.mp4', randomBytes(8_000_000), 'video/mp4')
    const url = new URL(await store.signGet('v/video.mp4', { expiresInSeconds: 60, audience: 'client' }))
    const goneAfter = async (bytesMin: number) => {
      const socket = connect(Number(url.port), url.hostname)
      socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`)
      let bytes = 0
      socket.on('data', (chunk) => {
        bytes += chunk.length
        if (bytes >= bytesMin) socket.resetAndDestroy()
      })
      if (bytesMin === 0) socket.once('connect', () => setImmediate(() => socket.resetAndDestroy()))
      await once(socket, 'close')
    }
    await Promise.all(Array.from({ length: 60 }, (_, index) => goneAfter((index % 3) * 200_000)))
    await vi.waitFor(() => expect(openFilesBelow(dir)).toEqual([]), { timeout: 10_000 })
    // Nobody reads on, and nobody waits: also where the object was opened for nothing.
    const opened = await store.get('v/video.mp4')
    expect(openFilesBelow(dir)).toHaveLength(1)
    opened?.body.destroy()
    await vi.waitFor(() => expect(openFilesBelow(dir)).toEqual([]))
    expect(errors).toEqual([])
  })
})
