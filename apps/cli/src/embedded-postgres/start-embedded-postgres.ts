import { chownSync } from 'node:fs'
import { access, mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '@sluice/shared/make-folder'
import { pause } from '@sluice/shared/pause'
import { findPostgresBinaries } from './binaries.ts'
import {
  choosePort,
  clusterPaths,
  createCluster,
  type Passwords,
  readOrCreatePasswords,
} from './cluster-files.ts'
import { createRoles, DATABASE, OWNER_ROLE, WORKER_ROLE } from './create-roles.ts'
import { EmbeddedPostgresError } from './errors.ts'
import { launchServer, type PostgresServer } from './postgres-server.ts'
import { chooseAccount, chooseLaunch, type Launch } from './server-account.ts'
import { takeOverCluster } from './take-over.ts'

export type PostgresRole = 'postgres' | 'sluice' | 'sluice_worker'

export interface EmbeddedPostgres {
  pid: number
  /** On 127.0.0.1, the only address it listens on. */
  port: number
  /** The connection URL, with password, of a database (default `sluice`) for a role (default `sluice`). */
  url(database?: string, role?: PostgresRole): string
  /** For the API: role `sluice`, owner of database `sluice`. */
  databaseUrl: string
  /** For workers: role `sluice_worker` in the same database. */
  queueUrl: string
  /** For set-up and tests: the superuser, in database `postgres`. */
  adminUrl: string
  /** Resolves when the server has ended, for whatever reason. */
  exited: PostgresServer['exited']
  /**
   * Shuts down fast: connections are cut, nothing committed is lost. Forced after `withinMs` (default 4,000).
   * Safe to repeat.
   */
  stop(withinMs?: number): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /**
   * Made when missing; holds the cluster, its passwords and its port. The caller must see to one live server
   * per dir.
   */
  dir: string
  /** Gets the log lines of initdb and the server, and what was done about an earlier server. */
  onLog?: (line: string) => void
  /** Server settings in place of the defaults, e.g. `{ fsync: 'off' }` in tests. */
  settings?: Readonly<Record<string, string>>
  /** Gives up the start: what was begun is stopped, and the start fails. */
  signal?: AbortSignal
  /**
   * `existing` fails when there is no cluster instead of making an empty one: a disk that is not mounted must
   * not be taken for a first start. Default `any`.
   */
  cluster?: 'any' | 'existing'
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // No Unix socket: its path may have 107 bytes at most, and data dirs may have longer ones.
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  fsync: 'on',
  // Connections keep plans made on the empty tables of a first start until the tables are analyzed; a minute
  // is too long.
  autovacuum_naptime: '15s',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
}

/** Until the backends of a killed postmaster notice its death, the cluster's shared memory is in use. */
const STARTS_MAX = 25
const START_AGAIN_MS = 200
/** What the server says about leftovers that pass, or that taking over once more removes. */
const PASSING = new RegExp(
  [
    'pre-existing shared memory block',
    'could not bind',
    'Address already in use',
    'lock file "postmaster.pid" (already exists|is empty)',
  ].join('|'),
)

/**
 * Starts a real PostgreSQL 18 on `dir`. Resolves when it accepts connections and has its roles and database.
 * As root it runs as `postgres`, `nobody` or the cluster's owner, also in folders that only root may enter.
 * An orphan server of an earlier start on that dir is stopped first. The server leads its own process group,
 * so a Ctrl-C at our terminal does not reach it.
 * Throws EmbeddedPostgresError with what to do.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const cluster = await prepareCluster(options)
  const { server, port } = await startServer(cluster, options)
  const { passwords } = cluster
  const url = (database: string = DATABASE, role: PostgresRole = OWNER_ROLE): string =>
    `postgres://${role}:${passwords[role]}@127.0.0.1:${port}/${database}`
  const adminUrl = url('postgres', 'postgres')
  try {
    await createRoles(adminUrl, passwords)
    options.signal?.throwIfAborted()
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

/** A cluster on disk that no server runs on, and how to start one. */
interface Cluster {
  paths: ReturnType<typeof clusterPaths>
  /** The program. */
  postgres: string
  launch: Launch
  passwords: Passwords
}

async function prepareCluster(options: EmbeddedPostgresOptions): Promise<Cluster> {
  const { onLog = () => {}, signal } = options
  const { initdb, postgres } = await findPostgresBinaries()
  if (options.cluster === 'existing') await requireCluster(options.dir)
  await makeFolder(options.dir, 0o711)
  const dir = await realpath(options.dir)
  const paths = clusterPaths(dir)
  const account = chooseAccount(paths.cluster)
  // chooseLaunch tries whether the account can reach its folder, so the folder must exist before the cluster
  // does.
  await mkdir(paths.cluster, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  if (account !== null) chownSync(paths.cluster, account.uid, account.gid)
  const launch = chooseLaunch(account, postgres, paths.cluster)
  const passwords = await readOrCreatePasswords(paths.passwords)
  await takeOverCluster(paths.cluster, onLog, signal)
  signal?.throwIfAborted()
  await createCluster({ dir, initdb, launch, superuserPassword: passwords.postgres, onLog, signal })
  return { paths, postgres, launch, passwords }
}

async function requireCluster(dir: string): Promise<void> {
  const version = join(clusterPaths(dir).cluster, 'PG_VERSION')
  await access(version).catch((error: NodeJS.ErrnoException) => {
    throw new EmbeddedPostgresError(`the database is gone (${error.code} ${version}): is its disk mounted?`)
  })
}

/** Starts the server; again, for a while, after a failure that passes by itself. */
async function startServer(
  { paths, postgres, launch }: Cluster,
  options: EmbeddedPostgresOptions,
): Promise<{ server: PostgresServer; port: number }> {
  const { onLog = () => {}, signal } = options
  for (let start = 1; ; start += 1) {
    signal?.throwIfAborted()
    const port = await choosePort(paths.port)
    const settings = { ...SETTINGS, ...options.settings, port: String(port) }
    const server = launchServer({ postgres, cluster: paths.cluster, settings, launch, onLog })
    // What becomes of the start is seen by `ready`.
    const abort = (): void => {
      server.stop(2_000).catch(() => undefined)
    }
    signal?.addEventListener('abort', abort)
    const problem = await server.ready.finally(() => signal?.removeEventListener('abort', abort))
    if (problem === null) return { server, port }
    await server.stop(0)
    signal?.throwIfAborted()
    if (!PASSING.test(problem) || start === STARTS_MAX) {
      throw new EmbeddedPostgresError(`PostgreSQL did not start on ${paths.cluster}: ${problem}`)
    }
    await pause(START_AGAIN_MS, signal)
    await takeOverCluster(paths.cluster, onLog, signal)
  }
}
