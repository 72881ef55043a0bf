import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { takeWorkerFolder } from './worker-folder.ts'
import { type LockTimes, takeWorkerLock, type WorkerLock } from './worker-lock.ts'

const QUICK: LockTimes = { renewEveryMs: 50, staleMs: 1_000, oldMs: 60_000 }
/** Takes the lock of a folder, says so, and renews it until it is killed. */
const HOLDER = `
import { takeWorkerLock } from ${JSON.stringify(new URL('./worker-lock.ts', import.meta.url).href)}
const lock = await takeWorkerLock(process.argv[1], ${JSON.stringify(QUICK)})
process.stdout.write(lock.boot)
setInterval(() => {}, 1_000)
`

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-lock-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
})

async function take(): Promise<WorkerLock | null> {
  const lock = await takeWorkerLock(dir, QUICK)
  onTestFinished(async () => lock?.leave())
  return lock
}

/** Another process that has the lock, and its boot. `before`: the command that starts it. */
async function holder(before: readonly string[] = []): Promise<{ boot: string; child: ChildProcess }> {
  const [file = '', ...args] = [...before, process.execPath, '--input-type=module', '-e', HOLDER, dir]
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [boot] = await once(child.stdout, 'data')
  return { boot: String(boot), child }
}

const OWN_PIDS = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']
function mayUnshare(): boolean {
  try {
    execFileSync('unshare', [...OWN_PIDS.slice(1), 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test('a lock is one process’s until it leaves it, and whoever comes next knows its boot', async () => {
  const first = await take()
  expect(first?.predecessors).toEqual([])
  expect(await take()).toBeNull()
  await first?.leave()
  const second = await take()
  expect(second?.predecessors).toEqual([first?.boot])
  await second?.leave()
  expect((await take())?.predecessors).toEqual([second?.boot, first?.boot])
})

test('the lock of a process that was killed is free at once', async () => {
  const { boot, child } = await holder()
  expect(await take()).toBeNull()
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
  expect((await take())?.predecessors).toEqual([boot])
})

test('the lock of a process whose pid another process has now is free at once', async () => {
  const { boot, child } = await holder()
  const [file = ''] = readdirSync(dir)
  const held = JSON.parse(readFileSync(join(dir, file), 'utf8'))
  const earlier = { ...held, process: { ...held.process, start: 'an earlier one' } }
  writeFileSync(join(dir, file), JSON.stringify(earlier))
  expect((await take())?.predecessors).toEqual([boot])
  expect(child.exitCode).toBeNull()
})

test.skipIf(!mayUnshare())(
  'a live process in another container has its lock though its pid cannot be seen, and loses it when it is killed',
  async () => {
    const { boot, child } = await holder(OWN_PIDS)
    expect(await take()).toBeNull()
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    expect((await take())?.predecessors).toEqual([boot])
  },
)

/** What a process on another host writes. */
const elsewhere = (boot: string) =>
  JSON.stringify({ boot, predecessors: [], process: { pid: process.pid, start: '1', space: 'elsewhere' } })

test('a process on another host has its lock while it renews it', async () => {
  const path = join(dir, 'worker.7.pid')
  writeFileSync(path, elsewhere('far'))
  const renewing = setInterval(() => utimesSync(path, new Date(), new Date()), 50)
  onTestFinished(() => clearInterval(renewing))
  expect(await take()).toBeNull()
  clearInterval(renewing)
  expect((await take())?.predecessors).toEqual(['far'])
})

test('a lock of another host that was not renewed for a minute is not waited for', async () => {
  const path = join(dir, 'worker.7.pid')
  writeFileSync(path, elsewhere('far'))
  const past = new Date(Date.now() - 61_000)
  utimesSync(path, past, past)
  const lock = await takeWorkerLock(dir, { ...QUICK, staleMs: 3_600_000 })
  expect(lock?.predecessors).toEqual(['far'])
  await lock?.leave()
})

test('of many that come at the same moment to a lock that was left, exactly one gets it', async () => {
  for (let round = 0; round < 20; round += 1) {
    const taken = (await Promise.all(Array.from({ length: 8 }, () => takeWorkerLock(dir, QUICK)))).filter(
      (lock) => lock !== null,
    )
    expect(taken).toHaveLength(1)
    await taken[0]?.leave()
  }
  expect(readdirSync(dir)).toHaveLength(1)
})

test('a process whose lock was taken from it while it was frozen is told', async () => {
  const lock = await take()
  const told = new Promise<void>((resolve) => lock?.keep(resolve))
  writeFileSync(join(dir, 'worker.9.pid'), elsewhere('thief'))
  await told
  await lock?.leave()
  expect((await readdir(dir)).toSorted()).toEqual(['worker.1.pid', 'worker.9.pid'])
}, 10_000)

test('two workers on one data dir have folders and ids of their own, and a new id is kept', async () => {
  const [one, two] = [await takeWorkerFolder(dir, QUICK), await takeWorkerFolder(dir, QUICK)]
  expect(one.worker).not.toBe(two.worker)
  expect(one.spoolDir).not.toBe(two.spoolDir)
  const renamed = await one.rename()
  await one.lock.leave()
  const again = await takeWorkerFolder(dir, QUICK)
  expect(again.worker).toBe(renamed)
  await again.lock.leave()
  await two.lock.leave()
})
