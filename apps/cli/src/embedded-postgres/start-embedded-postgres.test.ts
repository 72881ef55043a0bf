import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isAlive } from '../processes/process-identity.ts'
import { findPostgresBinaries } from './binaries.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { chooseAccount, chooseLaunch } from './server-account.ts'
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from './start-embedded-postgres.ts'

const isRoot = process.getuid?.() === 0
const settings = { fsync: 'off' }
let root: string
let dir: string
const servers: EmbeddedPostgres[] = []

beforeEach(async () => {
  // Mode 0700 and ours: as root, a folder that only root may enter.
  root = await mkdtemp(join(tmpdir(), 'sluice-postgres-'))
  dir = join(root, 'postgres')
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
  await rm(root, { recursive: true, force: true })
})

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dir, settings, ...options })
  servers.push(server)
  return server
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

describe('embedded PostgreSQL', () => {
  it('starts in a folder that only we may enter, keeps its data and URLs over a restart, and stops', async () => {
    const first = await start()
    await query(first.databaseUrl, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await first.stop()
    expect(isAlive(first.pid)).toBe(false)
    const second = await start()
    expect(second.databaseUrl).toBe(first.databaseUrl)
    expect(await query(second.databaseUrl, 'TABLE kept')).toEqual([{ answer: 42 }])
    expect(((await stat(join(dir, 'passwords.json'))).mode & 0o777).toString(8)).toBe('600')
  })

  it('makes an owner that may create roles, and a worker role that may do nothing it was not granted', async () => {
    const server = await start()
    await query(server.databaseUrl, 'CREATE TABLE ledger (id int); CREATE ROLE made_by_owner')
    expect(await query(server.queueUrl, 'SELECT current_user::text AS me')).toEqual([{ me: 'sluice_worker' }])
    await expect(query(server.queueUrl, 'TABLE public.ledger')).rejects.toThrow('permission denied')
    await expect(query(server.queueUrl, 'CREATE TEMP TABLE mine (id int)')).rejects.toThrow(
      'permission denied',
    )
    const wrong = new URL(server.databaseUrl)
    wrong.password = 'guess'
    await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow('password authentication failed')
    const [row] = await query(
      server.adminUrl,
      "SELECT current_setting('listen_addresses') AS at, current_setting('max_connections') AS most",
    )
    expect(row).toEqual({ at: '127.0.0.1', most: '200' })
  })

  it('takes over from a postmaster that a killed process left running', async () => {
    const module = JSON.stringify(new URL('./start-embedded-postgres.ts', import.meta.url).href)
    const script = `
      const { startEmbeddedPostgres } = await import(${module})
      const server = await startEmbeddedPostgres({ dir: process.argv[1], settings: { fsync: 'off' } })
      process.stdout.write(String(server.pid))`
    const starter = spawn(process.execPath, ['--input-type=module', '-e', script, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const orphan = Number((await once(starter.stdout, 'data'))[0])
    starter.kill('SIGKILL')
    await once(starter, 'exit')
    expect(isAlive(orphan)).toBe(true)
    const server = await start()
    expect(isAlive(orphan)).toBe(false)
    expect(await query(server.databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  it('starts over the pid file of a killed postmaster, whether its pid is free or another process has it now', async () => {
    const first = await start()
    const pidFile = join(dir, 'cluster/postmaster.pid')
    const text = await readFile(pidFile, 'utf8')
    process.kill(first.pid, 'SIGKILL')
    await first.exited
    const second = await start()
    await second.stop()
    await writeFile(pidFile, text.replace(/^\d+/, String(process.pid)))
    const third = await start()
    expect(await query(third.databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    expect(isAlive(process.pid)).toBe(true)
  })

  it('finishes what a killed initdb began', async () => {
    const giveUp = new AbortController()
    const begun = start({ signal: giveUp.signal })
    const watching = (async () => {
      const { watch } = await import('node:fs/promises')
      await mkdir(dir, { recursive: true })
      for await (const { filename } of watch(dir)) if (filename === 'init-password') break
      giveUp.abort()
    })()
    await expect(begun).rejects.toThrow()
    await watching
    const server = await start()
    expect(await query(server.databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  it.runIf(isRoot)(
    'runs as an account without rights when we are root, also where only root may enter',
    async () => {
      const server = await start()
      const status = await readFile(`/proc/${server.pid}/status`, 'utf8')
      expect(status).not.toMatch(/^Uid:\s+0/m)
      expect((await stat(join(dir, 'cluster'))).uid).not.toBe(0)
    },
  )

  it.runIf(isRoot)('runs initdb and postgres from a folder that only root may enter', async () => {
    const { postgres } = await findPostgresBinaries()
    cpSync(dirname(dirname(postgres)), join(root, 'native'), { recursive: true, verbatimSymlinks: true })
    const copied = join(root, 'native/bin/postgres')
    const cluster = join(root, 'cluster')
    const account = chooseAccount(cluster)
    await mkdir(cluster, { mode: 0o700 })
    const { chown } = await import('node:fs/promises')
    await chown(cluster, account?.uid ?? 0, account?.gid ?? 0)
    const launch = chooseLaunch(account, copied, cluster)
    const { createCluster } = await import('./cluster-files.ts')
    const said: string[] = []
    const creation = {
      dir: root,
      initdb: join(root, 'native/bin/initdb'),
      launch,
      superuserPassword: 'x',
      onLog: (line: string) => said.push(line),
    }
    await createCluster(creation)
    expect(said.join('\n')).toContain('Success')
  })

  it.runIf(isRoot)(
    'says what to do when the account cannot reach the folders and setpriv is missing',
    async () => {
      const { postgres } = await findPostgresBinaries()
      const cluster = join(root, 'cluster')
      await mkdir(cluster)
      const account = { uid: 65_534, gid: 65_534 }
      expect(() => chooseLaunch(account, postgres, cluster, join(root, 'no-setpriv'))).toThrow(
        EmbeddedPostgresError,
      )
      expect(() => chooseLaunch(account, postgres, cluster, join(root, 'no-setpriv'))).toThrow(
        /install setpriv.*chmod o\+x.*SLUICE_DATABASE_URL/,
      )
    },
  )
})
