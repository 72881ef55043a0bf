import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createBackoff } from './backoff.ts'
import { openLogFile } from './log-file.ts'
import { formatLogLine } from './log-line.ts'

describe("the children's logs", () => {
  it('show warnings and crashes to the person, and everything when asked', () => {
    const info = JSON.stringify({ level: 30, msg: 'listening' })
    const error = JSON.stringify({ level: 50, msg: 'upload failed', err: { message: 'ECONNRESET' } })
    expect(formatLogLine('api', info, 'stdout', 'warnings')).toBeNull()
    expect(formatLogLine('api', info, 'stdout', 'all')).toBe('api      info listening')
    expect(formatLogLine('worker', error, 'stdout', 'warnings')).toBe(
      'worker   error upload failed: ECONNRESET',
    )
    const cause = { message: 'the disk is full', cause: { message: 'ENOSPC' } }
    const caused = JSON.stringify({ level: 40, msg: 'x', err: { message: 'x', cause } })
    expect(formatLogLine('api', caused, 'stdout', 'warnings')).toBe(
      'api      warn x: the disk is full: ENOSPC',
    )
    expect(formatLogLine('api', 'TypeError: x is not a function', 'stderr', 'warnings')).toBe(
      'api      TypeError: x is not a function',
    )
    expect(formatLogLine('api', 'a library chats', 'stdout', 'warnings')).toBeNull()
  })

  it('name what they are about: video, pool, reason, and nothing that every line has', () => {
    const given = {
      video: 'video_01h',
      fence: 2,
      reason: 'silent',
      long: 'x'.repeat(199),
      missing: [{ part: 'worker' }],
      step: null,
    }
    const line = JSON.stringify({
      level: 40,
      time: 1,
      pid: 2,
      hostname: 'h',
      name: 'api',
      ...given,
      msg: 'given up',
    })
    expect(formatLogLine('api', line, 'stdout', 'warnings')).toBe(
      `api      warn given up (video video_01h, fence 2, reason silent, long ${'x'.repeat(120)}..., missing [{"part":"worker"}])`,
    )
  })

  it('are kept again as soon as a disk that was full or gone has room, and stop nothing meanwhile', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-log-'))
    const path = join(dir, 'data/logs/api.log')
    const log = openLogFile(path)
    log.write('lost')
    await mkdir(join(dir, 'data'))
    log.write('kept')
    expect(await readFile(path, 'utf8')).toBe('kept\n')
    log.close()
    await rm(dir, { recursive: true })
  })

  it('never grow beyond twice their bound', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-log-'))
    const path = join(dir, 'api.log')
    const log = openLogFile(path, 1_000)
    for (let line = 0; line < 100; line++) log.write(`line ${line} ${'x'.repeat(40)}`)
    log.close()
    expect((await stat(path)).size + (await stat(`${path}.old`)).size).toBeLessThan(2_200)
    expect(await readFile(path, 'utf8')).toContain('line 99')
    await rm(dir, { recursive: true })
  })
})

describe('the wait before a new start', () => {
  it('doubles up to its maximum and is forgotten after a healthy life', () => {
    const wait = createBackoff({ firstMs: 200, maxMs: 10_000, resetAfterMs: 30_000 })
    expect([1, 2, 3, 4, 5, 6, 7, 8].map(() => wait(10))).toEqual([
      200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000,
    ])
    expect(wait(30_000)).toBe(200)
    expect(wait(10)).toBe(400)
  })
})
