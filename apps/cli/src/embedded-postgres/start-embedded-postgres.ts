import { type ChildProcess, spawn } from 'node:child_process'
import { chownSync } from 'node:fs'
import { mkdir, realpath } from 'node:fs/promises'
import { splitLines } from '../processes/split-lines.ts'
import { sendSignal } from '../processes/stop-process.ts'
import { findPostgresBinaries } from './binaries.ts'
import { choosePort, clusterPaths, createCluster, readOrDrawPasswords } from './cluster-files.ts'
import { createRoles, DATABASE, OWNER_ROLE, WORKER_ROLE } from './create-roles.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { chooseAccount, chooseLaunch, type Launch, SERVER_ENVIRONMENT } from './server-account.ts'
import { takeOverCluster } from './take-over.ts'

export type PostgresRole = 'postgres' | 'sluice' | 'sluice_worker'

export interface EmbeddedPostgres {
  pid: number
  /** On 127.0.0.1; the only address it listens on. */
  port: number
  /** Connection URL of a database (default `sluice`) for a role (default `sluice`), password included. */
  url(database?: string, role?: PostgresRole): string
  /** For the API: role `sluice`, owner of database `sluice`. */
  databaseUrl: string
  /** For workers: role `sluice_worker` in the same database. */
  queueUrl: string
  /** For set-up and tests: the superuser, in database `postgres`. */
  adminUrl: string
  /** Resolves when the server has ended, for whatever reason. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** Fast shutdown (connections are cut, nothing committed is lost), forced after `withinMs` (default 4,000). Safe to repeat. */
  stop(withinMs?: number): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /** Made when missing; holds the cluster, its passwords and its port. One live server per dir: the caller holds a lock. */
  dir: string
  /** Lines of initdb and of the server, and what is done here before. */
  onLog?: (line: string) => void
  /** Server settings over the defaults, e.g. `{ fsync: 'off' }` in tests. */
  settings?: Readonly<Record<string, string>>
  /** Gives up the start: whatever was begun is stopped, and the start fails. */
  signal?: AbortSignal
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // No Unix socket: its path may have 107 bytes at most, and data dirs lie deeper than that.
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  fsync: 'on',
  // Connections plan on the empty tables of a first start and keep those plans until the tables are analyzed: not for a whole minute.
  autovacuum_naptime: '15s',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
}

/** The server logs its progress every 10 s while it recovers (log_startup_progress_interval); silence for this long means it hangs. */
const SILENCE_MS_MAX = 60_000
/** Backends of a killed postmaster notice its death within moments; until then the cluster's shared memory is in use. */
const STARTS_MAX = 25
const START_AGAIN_MS = 200

/**
 * Starts a real PostgreSQL 18 on `dir` and answers when it takes connections, with roles and database made.
 * As root it runs as `postgres`, `nobody` or the cluster's owner, also in folders only root may enter. An orphan server of an
 * earlier start on that dir is stopped first. The server leads its own process group, so a Ctrl-C at our terminal does not reach it.
 * Throws EmbeddedPostgresError with what to do.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const onLog = options.onLog ?? (() => {})
  const binaries = await findPostgresBinaries()
  await mkdir(options.dir, { recursive: true, mode: 0o711 })
  const dir = await realpath(options.dir)
  const paths = clusterPaths(dir)
  const account = chooseAccount(paths.cluster)
  // The account can only reach what it can reach: a folder it owns stands in for the cluster that does not exist yet.
  await mkdir(paths.cluster, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  if (account !== null) chownSync(paths.cluster, account.uid, account.gid)
  const launch = chooseLaunch(account, binaries.postgres, paths.cluster)
  const passwords = await readOrDrawPasswords(paths.passwords)
  await takeOverCluster(paths.cluster, onLog)
  const creation = {
    dir,
    initdb: binaries.initdb,
    launch,
    superuserPassword: passwords.postgres,
    onLog,
    signal: options.signal,
  }
  await createCluster(creation)
  const settings = { ...SETTINGS, ...options.settings }

  for (let start = 1; ; start++) {
    options.signal?.throwIfAborted()
    const port = await choosePort(paths.port)
    const server = launchServer(
      binaries.postgres,
      paths.cluster,
      { ...settings, port: String(port) },
      launch,
      onLog,
    )
    const abort = () => void server.stop(2_000)
    options.signal?.addEventListener('abort', abort)
    const problem = await server.ready.finally(() => options.signal?.removeEventListener('abort', abort))
    if (problem !== null) {
      await server.stop(0)
      const passing = /pre-existing shared memory block|could not bind|Address already in use/.test(problem)
      if (!passing || start === STARTS_MAX) {
        throw new EmbeddedPostgresError(`PostgreSQL did not start on ${paths.cluster}: ${problem}`)
      }
      await new Promise((resolve) => setTimeout(resolve, START_AGAIN_MS))
      continue
    }
    const url = (database: string = DATABASE, role: PostgresRole = OWNER_ROLE): string =>
      `postgres://${role}:${passwords[role]}@127.0.0.1:${port}/${database}`
    const adminUrl = url('postgres', 'postgres')
    try {
      await createRoles(adminUrl, passwords)
    } catch (error) {
      await server.stop(0)
      throw error
    }
    return {
      pid: server.pid,
      port,
      url,
      adminUrl,
      databaseUrl: url(),
      queueUrl: url(DATABASE, WORKER_ROLE),
      exited: server.exited,
      stop: server.stop,
    }
  }
}

interface Server {
  pid: number
  /** Null once it takes connections; otherwise the last things it said before it gave up. */
  ready: Promise<string | null>
  exited: EmbeddedPostgres['exited']
  stop(withinMs?: number): Promise<void>
}

function launchServer(
  postgres: string,
  cluster: string,
  settings: Readonly<Record<string, string>>,
  launch: Launch,
  onLog: (line: string) => void,
): Server {
  const args = [
    '-D',
    cluster,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
  const [file = '', ...rest] = [...launch.prefix, postgres, ...args]
  const child: ChildProcess = spawn(file, rest, {
    ...launch.spawnAs,
    cwd: cluster,
    env: { ...SERVER_ENVIRONMENT },
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited: EmbeddedPostgres['exited'] = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', () => resolve({ code: null, signal: null }))
  })
  const pid = child.pid ?? 0
  const said: string[] = []
  const ready = new Promise<string | null>((resolve) => {
    const silence = setTimeout(
      () => resolve(`it said nothing for ${SILENCE_MS_MAX / 1_000} s`),
      SILENCE_MS_MAX,
    )
    const settle = (problem: string | null) => {
      clearTimeout(silence)
      resolve(problem)
    }
    if (child.stderr !== null) {
      splitLines(child.stderr, (line) => {
        onLog(line)
        silence.refresh()
        said.push(line)
        if (said.length > 8) said.shift()
        if (line.includes('database system is ready to accept connections')) settle(null)
      })
    }
    child.once('error', (error) => settle(error.message))
    child.once('close', (code, signal) => settle(`${said.join('\n')} (exit ${code ?? signal})`))
  })
  const stop = async (withinMs = 4_000): Promise<void> => {
    if (pid === 0 || child.exitCode !== null || child.signalCode !== null) return
    const quitAfterMs = Math.max(withinMs - 500, 0)
    const quit = setTimeout(() => sendSignal(pid, 'SIGQUIT'), quitAfterMs)
    const kill = setTimeout(() => sendSignal(-pid, 'SIGKILL'), withinMs + 500)
    sendSignal(pid, 'SIGINT')
    await exited
    clearTimeout(quit)
    clearTimeout(kill)
  }
  return { pid, ready, exited, stop }
}
