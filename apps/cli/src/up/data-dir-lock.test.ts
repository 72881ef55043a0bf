import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../../../../test/support/eventually.ts'
import { isFrozen, startOf } from '../processes/process-identity.ts'
import { lockDataDir, readLockHolder } from './data-dir-lock.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-lock-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const lockFile = (number = 1) => join(dir, `sluice.${number}.pid`)

describe('the data dir lock', () => {
  it('is held by one process at a time and free after its release', async () => {
    const lock = await lockDataDir(dir)
    expect(await readLockHolder(dir)).toEqual({ pid: process.pid, start: startOf(process.pid) })
    await expect(lockDataDir(dir)).rejects.toThrow(`is in use by process ${process.pid}`)
    await lock.release()
    expect(await readLockHolder(dir)).toBeNull()
    await (await lockDataDir(dir)).release()
  })

  it('of a killed process is taken over', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    const pid = Number(child.pid)
    await writeFile(lockFile(), JSON.stringify({ pid, start: startOf(pid) }))
    await expect(lockDataDir(dir)).rejects.toThrow(`is in use by process ${pid}`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await (await lockDataDir(dir)).release()
  })

  it('is not fooled by another process that got the same pid', async () => {
    await writeFile(lockFile(), JSON.stringify({ pid: process.pid, start: 'an earlier boot/12345' }))
    const lock = await lockDataDir(dir)
    expect((await readLockHolder(dir))?.start).toBe(startOf(process.pid))
    await lock.release()
  })

  it('of many that find a stale lock at once goes to exactly one', async () => {
    await writeFile(lockFile(), JSON.stringify({ pid: process.pid, start: 'stale' }))
    const module = JSON.stringify(new URL('./data-dir-lock.ts', import.meta.url).href)
    const script = `
      const { lockDataDir } = await import(${module})
      const say = (text) => process.stdout.write(text)
      await lockDataDir(process.argv[1]).then(() => say('taken'), (error) => say(error.name))
      process.stdin.resume()`
    const racers = Array.from({ length: 5 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', script, dir], {
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    )
    const said = await Promise.all(racers.map(async (racer) => String((await once(racer.stdout, 'data'))[0])))
    expect(said.toSorted()).toEqual(['UpError', 'UpError', 'UpError', 'UpError', 'taken'])
    for (const racer of racers) racer.stdin.end()
    await Promise.all(racers.map((racer) => (racer.exitCode === null ? once(racer, 'exit') : null)))
  })

  it('goes to exactly one of many, however often it is taken, released and found stale', async () => {
    const racers = Array.from({ length: 5 }, () =>
      spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' }),
    )
    const pids = racers.map(({ pid }) => Number(pid))
    for (let round = 0; round < 200; round += 1) {
      // Started apart, so that some find the stale lock while others have taken it or are about to.
      const starts = pids.map(async (pid, index) => {
        for (let turns = 0; turns < (round * (index + 1)) % 7; turns += 1) await readLockHolder(dir)
        return lockDataDir(dir, pid)
      })
      const taken = (await Promise.allSettled(starts)).filter((start) => start.status === 'fulfilled')
      expect(taken).toHaveLength(1)
      const [holder] = taken
      if (round % 2 === 0) await holder?.value.release()
      else await makeStale()
    }
    for (const racer of racers) racer.kill('SIGKILL')
  })

  /** As if the holder had been killed. */
  async function makeStale(): Promise<void> {
    const [name = ''] = (await readdir(dir)).filter((entry) => /^sluice\.\d+\.pid$/.test(entry))
    await writeFile(join(dir, name), JSON.stringify({ pid: process.pid, start: 'an earlier boot/1' }))
  }

  it('is held whether or not the list of children can be written, which is said once', async () => {
    await mkdir(join(dir, 'children.json'))
    const lock = await lockDataDir(dir)
    const problems: string[] = []
    const list = lock.children(({ message }) => problems.push(message))
    for (let times = 0; times < 2; times += 1) list.write([process.pid])
    expect(problems).toEqual([expect.stringContaining('EISDIR')])
    await lock.release()
  })

  it('ends the children a killed supervisor left', async () => {
    const lock = await lockDataDir(dir)
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {
      stdio: 'ignore',
      detached: true,
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const ended = once(child, 'exit')
    lock.children(({ message }) => expect.unreachable(message)).write([Number(child.pid)])
    // One that is frozen hears it too. Whether it is frozen yet is known on Linux only.
    child.kill('SIGSTOP')
    await eventually(async () => process.platform !== 'linux' || isFrozen(Number(child.pid)), Boolean)
    await rm(lockFile())
    const next = await lockDataDir(dir)
    await ended
    expect(child.signalCode).toBe('SIGTERM')
    await next.release()
  }, 15_000)
})
