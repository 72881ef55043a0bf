import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../../../../test/support/eventually.ts'
import { freePort } from '../../../../test/support/free-port.ts'
import { processesOf } from '../../../../test/support/processes-of.ts'
import { mayMount, mountSmallDisk } from '../../../../test/support/small-disk.ts'
import { sendSignal } from '../processes/stop-process.ts'
import { up } from './up.ts'

const PROGRAMS = fileURLToPath(new URL('../../../../test/support/supervised-programs/', import.meta.url))
const KINDS = ['api', 'worker'] as const
type Kind = (typeof KINDS)[number]

let dir: string
let dataDir: string
beforeEach(async ({ onTestFinished }) => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-one-'))
  dataDir = join(dir, 'data')
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
})

const pidsOf = (kind: Kind) => processesOf(dataDir, `${PROGRAMS}${kind}.mjs`)

/** Without what one of them has just forked: until that runs its own program, it looks like its parent. */
const withoutForks = (pids: readonly number[]) => pids.filter((pid) => !pids.includes(parentOf(pid)))

function parentOf(pid: number): number {
  try {
    // Behind the name in brackets: state, then the parent (proc(5)).
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1])
  } catch {
    // It has ended, or this is no Linux.
    return 0
  }
}

/** Waits until exactly one of each kind runs, none of them of `before`; two of a kind are never seen. */
const oneOfEach = (before: readonly number[] = []) =>
  eventually(
    async () => {
      const running = KINDS.map((kind) => withoutForks(pidsOf(kind)))
      for (const pids of running) expect(pids.length).toBeLessThan(2)
      return running.flat()
    },
    (pids) => pids.length === 2 && pids.every((pid) => !before.includes(pid)),
  )

interface RunningUp {
  output(): string
  /** Stops it and returns its exit code. */
  stop(): Promise<number>
}

/** `sluice up` in this process, quick to start again and to stop, with stand-ins and no database. */
async function startUp(): Promise<RunningUp> {
  const stop = new AbortController()
  let output = ''
  const ended = up({
    env: {
      PATH: process.env.PATH,
      PORT: String(await freePort()),
      SLUICE_DATA_DIR: dataDir,
      SLUICE_DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      SLUICE_QUEUE_URL: 'postgres://nobody@127.0.0.1:1/none',
    },
    apiEntry: `${PROGRAMS}api.mjs`,
    workerEntry: `${PROGRAMS}worker.mjs`,
    print: (line) => {
      output += `${line}\n`
    },
    stop: stop.signal,
    backoff: { firstMs: 10, maxMs: 40, resetAfterMs: 30_000 },
    stopMs: { worker: 300, api: 300, postgres: 300 },
  })
  const end = () => {
    stop.abort()
    return ended
  }
  onTestFinished(() => void end())
  await eventually(
    async () => output,
    (text) => text.includes('Sluice is ready'),
  )
  return { output: () => output, stop: end }
}

function kill(signal: NodeJS.Signals, ...kinds: Kind[]): number[] {
  const pids = kinds.flatMap(pidsOf)
  for (const pid of pids) sendSignal(pid, signal)
  return pids
}

describe('however its children die, a supervisor runs exactly one API and one worker', () => {
  it('when both are killed at the same moment, ten times', async () => {
    const service = await startUp()
    for (let times = 0; times < 10; times += 1) await oneOfEach(kill('SIGKILL', ...KINDS))
    await eventually(
      async () => service.output(),
      (text) => /worker {3}is back after \d+\.\d s/.test(text) && /api {6}is back after/.test(text),
    )
    expect(await service.stop()).toBe(0)
    expect(KINDS.flatMap(pidsOf)).toEqual([])
  })

  it('over random sequences of deaths, frozen children and a list of children that cannot be written', async () => {
    const steps = fc.constantFrom(
      () => kill('SIGKILL', 'api'),
      () => kill('SIGKILL', 'worker'),
      () => kill('SIGKILL', ...KINDS),
      () => {
        // One that an earlier step froze hears it only when it goes on.
        const pids = kill('SIGTERM', ...KINDS)
        kill('SIGCONT', ...KINDS)
        return pids
      },
      () => {
        kill('SIGSTOP', ...KINDS)
        return kill('SIGKILL', 'worker')
      },
      () => {
        rmSync(join(dataDir, 'children.json'), { recursive: true, force: true })
        mkdirSync(join(dataDir, 'children.json'))
        return kill('SIGKILL', 'api')
      },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 6 }), async (sequence) => {
        const service = await startUp()
        try {
          for (const step of sequence) await oneOfEach(step())
        } finally {
          // Also after a failure, or what fails next is the data dir that is in use.
          expect(await service.stop()).toBe(0)
        }
        expect(KINDS.flatMap(pidsOf)).toEqual([])
      }),
      // A start takes seconds: the first failure is shown as it was.
      { numRuns: 5, endOnFailure: true },
    )
  })

  it.skipIf(!mayMount())('while the disk is full, and stops then as well', async () => {
    const disk = mountSmallDisk(dataDir, 256)
    const service = await startUp()
    disk.fill()
    for (let times = 0; times < 3; times += 1) await oneOfEach(kill('SIGKILL', ...KINDS))
    expect(await service.stop()).toBe(0)
    expect(KINDS.flatMap(pidsOf)).toEqual([])
    disk.free()
    expect(await (await startUp()).stop()).toBe(0)
  })

  it('when its data dir vanishes under it, and stops then as well', async () => {
    const service = await startUp()
    await rm(dataDir, { recursive: true })
    const before = kill('SIGKILL', 'worker')
    await eventually(
      async () => service.output(),
      (text) => text.includes('worker   ended'),
    )
    expect(before.flatMap(() => pidsOf('api'))).toHaveLength(1)
    expect(await service.stop()).toBe(0)
    expect(KINDS.flatMap(pidsOf)).toEqual([])
  })
})

describe('a stop', () => {
  it('ends children that hang and children that are frozen, and takes their runners with them', async () => {
    const service = await startUp()
    await writeFile(join(dataDir, 'worker-hangs'), '')
    await writeFile(join(dataDir, 'api-hangs'), '')
    kill('SIGSTOP', 'api')
    expect(await service.stop()).toBe(0)
    expect(processesOf(dataDir, '')).toEqual([])
  })

  it('in the middle of a new start of everything leaves nothing behind', async () => {
    for (let times = 0; times < 5; times += 1) {
      const service = await startUp()
      kill('SIGKILL', ...KINDS)
      await eventually(
        async () => service.output(),
        (text) => /(worker|api) +ended/.test(text),
      )
      expect(await service.stop()).toBe(0)
      expect(processesOf(dataDir, '')).toEqual([])
    }
  })
})
