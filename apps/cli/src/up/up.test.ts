import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, type FSWatcher, watch } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../../../test/support/free-port.ts'
import { startInTerminal } from '../../../../test/support/terminal.ts'
import { isAlive } from '../processes/process-identity.ts'
import { sendSignal, waitUntilGone } from '../processes/stop-process.ts'

const UP = fileURLToPath(new URL('../../../../test/support/supervised-programs/up.ts', import.meta.url))

let dir: string
let dataDir: string
let port: number
const started: ChildProcess[] = []
/** The stand-ins use none. */
const NO_DATABASE = {
  SLUICE_DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
  SLUICE_QUEUE_URL: 'postgres://nobody@127.0.0.1:1/none',
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-up-'))
  dataDir = join(dir, 'data')
  port = await freePort()
})

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  }
  await rm(dir, { recursive: true, force: true })
})

interface Up {
  child: ChildProcess
  output(): string
  /** Resolves when its output matches. */
  says(pattern: RegExp): Promise<void>
  exit: Promise<number | null>
}

function environment(more: Record<string, string> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '/',
    SLUICE_DATA_DIR: dataDir,
    PORT: String(port),
    ...more,
  }
}

async function readPostmaster(): Promise<number> {
  return Number((await readFile(join(dataDir, 'postgres/cluster/postmaster.pid'), 'utf8')).split('\n')[0])
}

function startUp(env: Record<string, string> = {}): Up {
  const child = spawn(process.execPath, [UP], {
    env: environment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  started.push(child)
  let output = ''
  const listeners = new Set<() => void>()
  const exit = once(child, 'exit').then(([code]) => code as number | null)
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const listener of listeners) listener()
    })
  }
  return {
    child,
    exit,
    output: () => output,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => pattern.test(output) && resolve()
        listeners.add(look)
        exit.then((code) => reject(new Error(`it ended (${code}) and printed: ${output}`)), reject)
        look()
      }),
  }
}

/** Resolves with the events that the stand-ins recorded, once `enough` holds for them. */
async function events(enough: (lines: string[]) => boolean): Promise<string[]> {
  let watcher: FSWatcher | undefined
  try {
    return await new Promise((resolve, reject) => {
      const look = async () => {
        const lines = (await readFile(join(dataDir, 'events'), 'utf8').catch(() => ''))
          .split('\n')
          .filter((line) => line !== '')
        if (enough(lines)) resolve(lines)
      }
      watcher = watch(dataDir, () => void look().catch(reject))
      void look().catch(reject)
    })
  } finally {
    watcher?.close()
  }
}

const pidOf = (line: string | undefined): number => Number(line?.split(' ')[2])
const kinds = (lines: string[]): string[] => lines.map((line) => line.split(' ').slice(0, 2).join(' '))

describe('sluice up', () => {
  it('starts PostgreSQL, API and worker, stops worker before API on a Ctrl-C of the whole group, and leaves no process behind', async () => {
    const up = startUp({
      AWS_SECRET_ACCESS_KEY: 'aws',
      SLUICE_S3_BUCKET: 'films',
      SLUICE_POOL: 'h100x1',
      UNRELATED: 'x',
    })
    await up.says(/Sluice is ready/)
    expect(up.output()).toContain(`http://127.0.0.1:${port}/#key=sk-test`)
    expect(up.output()).toContain(`SLUICE_DATA_DIR=${dataDir} npx sluice generate`)
    const postmaster = await readPostmaster()
    const api = JSON.parse(await readFile(join(dataDir, 'api-environment'), 'utf8'))
    const worker = JSON.parse(await readFile(join(dataDir, 'worker-environment'), 'utf8'))
    expect(api).toMatchObject({
      SLUICE_DATA_DIR: dataDir,
      PORT: String(port),
      AWS_SECRET_ACCESS_KEY: 'aws',
      SLUICE_S3_BUCKET: 'films',
    })
    expect(api.SLUICE_DATABASE_URL).toMatch(/^postgres:\/\/sluice:/)
    expect(api).not.toHaveProperty('UNRELATED')
    expect(worker).toMatchObject({
      SLUICE_DATA_DIR: dataDir,
      SLUICE_POOL: 'h100x1',
      SLUICE_WORKER_TOKEN: 'the-worker-token',
    })
    expect(worker.SLUICE_QUEUE_URL).toMatch(/^postgres:\/\/sluice_worker:/)
    for (const secret of ['SLUICE_DATABASE_URL', 'SLUICE_S3_BUCKET', 'AWS_SECRET_ACCESS_KEY', 'UNRELATED']) {
      expect(worker).not.toHaveProperty(secret)
    }

    // Twice, and to the group: the terminal signals every process, and npm passes its own signal on.
    const group = -Number(up.child.pid)
    sendSignal(group, 'SIGINT')
    sendSignal(group, 'SIGINT')
    expect(await up.exit).toBe(0)
    const lines = await events(() => true)
    expect(kinds(lines)).toEqual([
      'api started',
      'worker runner',
      'worker started',
      'worker stopped',
      'api stopped',
    ])
    for (const pid of [...lines.map(pidOf), postmaster]) expect(isAlive(pid)).toBe(false)
  })

  it('starts a killed worker, a killed API and a killed PostgreSQL again', async () => {
    const up = startUp()
    await up.says(/Sluice is ready/)
    const before = await events((lines) => kinds(lines).includes('worker started'))
    sendSignal(pidOf(before.find((line) => line.startsWith('worker started'))), 'SIGKILL')
    await events((lines) => kinds(lines).filter((kind) => kind === 'worker started').length === 2)
    sendSignal(pidOf(before.find((line) => line.startsWith('api started'))), 'SIGKILL')
    await events((lines) => kinds(lines).filter((kind) => kind === 'api started').length === 2)
    const pidFile = join(dataDir, 'postgres/cluster/postmaster.pid')
    const postmaster = await readPostmaster()
    sendSignal(postmaster, 'SIGKILL')
    await up.says(/postgres\s+ended \(signal SIGKILL\)/)
    await new Promise<void>((resolve) => {
      const watcher = watch(join(dataDir, 'postgres/cluster'), async () => {
        const text = await readFile(pidFile, 'utf8').catch(() => '')
        if (!text.includes('ready') || text.startsWith(`${postmaster}\n`)) return
        watcher.close()
        resolve()
      })
    })
    up.child.kill('SIGTERM')
    expect(await up.exit).toBe(0)
    for (const line of await events(() => true)) expect(isAlive(pidOf(line))).toBe(false)
  })

  it('waits longer before each new start of a worker that keeps dying', async () => {
    const { mkdir } = await import('node:fs/promises')
    await mkdir(dataDir)
    await writeFile(join(dataDir, 'worker-crashes'), '')
    const up = startUp(NO_DATABASE)
    await up.says(/0\.2 s[\s\S]*0\.4 s[\s\S]*0\.8 s/)
    up.child.kill('SIGTERM')
    expect(await up.exit).toBe(0)
  })

  it('ends when it was asked to, with PostgreSQL gone and its children frozen', async () => {
    const up = startUp()
    await up.says(/Sluice is ready/)
    const lines = await events((seen) => kinds(seen).includes('worker started'))
    for (const line of lines) sendSignal(pidOf(line), 'SIGSTOP')
    const postmaster = await readPostmaster()
    await rm(join(dataDir, 'postgres'), { recursive: true })
    sendSignal(postmaster, 'SIGKILL')
    await up.says(/postgres +ended[\s\S]*the database is gone/)
    up.child.kill('SIGTERM')
    expect(await up.exit).toBe(0)
    for (const pid of [...lines.map(pidOf), postmaster]) expect(isAlive(pid)).toBe(false)
  })

  it('goes on when nobody reads what it prints, and when a signal of a closed terminal comes without one', async () => {
    const up = startUp(NO_DATABASE)
    await up.says(/Sluice is ready/)
    up.child.stdout?.destroy()
    up.child.stderr?.destroy()
    up.child.kill('SIGHUP')
    const [worker] = (await events(() => true)).filter((line) => line.startsWith('worker started'))
    sendSignal(pidOf(worker), 'SIGKILL')
    await events((lines) => kinds(lines).filter((kind) => kind === 'worker started').length === 2)
    up.child.kill('SIGTERM')
    expect(await up.exit).toBe(0)
  })

  it('goes on in a terminal whose output was stopped, and stops everything when the terminal is closed', async () => {
    const terminal = startInTerminal([UP], { env: environment(NO_DATABASE) })
    await terminal.shows(/Ctrl-C stops everything/)
    terminal.type('\x13')
    const [worker] = (await events(() => true)).filter((line) => line.startsWith('worker started'))
    sendSignal(pidOf(worker), 'SIGKILL')
    await events((lines) => kinds(lines).filter((kind) => kind === 'worker started').length === 2)
    terminal.hangUp()
    expect(await terminal.exit).toBe(0)
    for (const line of await events(() => true)) expect(isAlive(pidOf(line))).toBe(false)
  })

  it("stops everything with exit code 2 and shows the child's message when a child says its settings are bad", async () => {
    const { mkdir } = await import('node:fs/promises')
    await mkdir(dataDir)
    await writeFile(join(dataDir, 'api-refuses'), '')
    const up = startUp()
    expect(await up.exit).toBe(2)
    expect(up.output()).toContain('SLUICE_CURRENCY must be three letters, got "dollars"')
  })

  it('refuses a second start on a data dir in use with exit code 1, and a taken port and an address of another machine with exit code 2 and without making a data dir', async () => {
    const up = startUp(NO_DATABASE)
    await up.says(/Sluice is ready/)
    const second = startUp({ ...NO_DATABASE, PORT: String(await freePort()) })
    expect(await second.exit).toBe(1)
    expect(second.output()).toContain(`is in use by process ${up.child.pid}`)
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const taken = typeof address === 'object' && address !== null ? address.port : 0
    const third = startUp({ ...NO_DATABASE, PORT: String(taken), SLUICE_DATA_DIR: join(dir, 'other') })
    expect(await third.exit).toBe(2)
    expect(third.output()).toMatch(new RegExp(`^sluice: PORT is "${taken}": taken by another program.*\\n$`))
    server.close()
    // An address that is documentation's alone: https://www.rfc-editor.org/rfc/rfc5737
    const fourth = startUp({ ...NO_DATABASE, HOST: '192.0.2.1', SLUICE_DATA_DIR: join(dir, 'other') })
    expect(await fourth.exit).toBe(2)
    expect(fourth.output()).toMatch(/^sluice: HOST is "192\.0\.2\.1": no address of this machine.*\n$/)
    expect(existsSync(join(dir, 'other'))).toBe(false)
  })

  it('refuses settings that API or worker would refuse, all at once, before it makes a data dir', async () => {
    const up = startUp({ SLUICE_REFINER_URL: 'nowhere', SLUICE_SLOTS: ';;' })
    expect(await up.exit).toBe(2)
    expect(up.output()).toMatch(/^sluice: SLUICE_REFINER_URL is .*\nSLUICE_SLOTS is .*\n$/)
    expect(existsSync(dataDir)).toBe(false)
  })

  it('takes over from a supervisor that was killed, in whatever order its processes were frozen and killed', async () => {
    const orders: ((left: { supervisor: number; postmaster: number; children: number[] }) => void)[] = [
      ({ supervisor }) => sendSignal(supervisor, 'SIGKILL'),
      ({ supervisor, postmaster, children }) => {
        for (const pid of [supervisor, ...children]) sendSignal(pid, 'SIGSTOP')
        sendSignal(postmaster, 'SIGKILL')
        sendSignal(supervisor, 'SIGKILL')
      },
      ({ supervisor, postmaster, children }) => {
        for (const pid of [postmaster, ...children]) sendSignal(pid, 'SIGSTOP')
        sendSignal(supervisor, 'SIGKILL')
      },
    ]
    let up = startUp()
    for (const leave of orders) {
      await up.says(/Sluice is ready/)
      const lines = await events(() => true)
      const children = lines.filter((line) => / started /.test(line)).map(pidOf)
      leave({ supervisor: Number(up.child.pid), postmaster: await readPostmaster(), children })
      await up.exit
      up = startUp()
      await up.says(/Sluice is ready/)
      for (const pid of children) expect(isAlive(pid)).toBe(false)
    }
    up.child.kill('SIGTERM')
    expect(await up.exit).toBe(0)
    for (const line of await events(() => true)) {
      // A worker that ends by itself leaves its runner, whose stdin has ended; this one ignores that.
      if (line.startsWith('worker runner')) sendSignal(pidOf(line), 'SIGKILL')
      expect(await waitUntilGone(pidOf(line), 1_000)).toBe(true)
    }
  })

  it('names all settings at fault with exit code 2, its own and those of its programs', async () => {
    const up = startUp({ PORT: 'http', SLUICE_LOG: 'loud' })
    expect(await up.exit).toBe(2)
    expect(up.output()).toContain('PORT is "http": allowed is a whole number from 1 to 65535')
    expect(up.output()).toContain('SLUICE_LOG is "loud": ')
  })
})
