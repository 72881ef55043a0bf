import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readKeys } from '../connection/keys-file.ts'
import { requireFreePort, waitForOk } from './api-state.ts'
import { BACKOFF, type BackoffSettings } from './backoff.ts'
import { apiEnvironment, workerEnvironment } from './child-environment.ts'
import { type DataDirLock, lockDataDir } from './data-dir-lock.ts'
import { UpError } from './errors.ts'
import { firstSteps } from './first-steps.ts'
import { type LogFile, openLogFile } from './log-file.ts'
import { formatLogLine } from './log-line.ts'
import { dataDirPaths, given, readUpSettings } from './settings.ts'
import { type SupervisedChild, superviseChild } from './supervised-child.ts'
import { type SupervisedPostgres, supervisePostgres } from './supervised-postgres.ts'

export interface UpOptions {
  env: NodeJS.ProcessEnv
  /** The programs to run; paths only, their code is never imported here. */
  apiEntry: string
  workerEntry: string
  /** Writes a line for the person at the terminal. */
  say(line: string): void
  /** Aborted by the first SIGINT or SIGTERM. */
  stop: AbortSignal
  backoff?: BackoffSettings
}

/** Together within the 20 s that a stop may take, with the SIGKILL that ends each. */
const STOP_MS = { worker: 12_000, api: 4_000, postgres: 3_000 } as const
/** After this long without an answer a person wants to know what is missing. */
const PATIENCE_MS = 15_000

/**
 * Runs the whole service until `stop` is aborted: PostgreSQL (unless SLUICE_DATABASE_URL names one), API, worker, each restarted when it
 * dies, stopped in the order worker, API, PostgreSQL. Answers the exit code: 0 after a stop, 1 when something is in the way, 2 when a
 * setting is wrong (its own, or a child's).
 */
export async function up(options: UpOptions): Promise<0 | 1 | 2> {
  let lock: DataDirLock | null = null
  try {
    const settings = readUpSettings(options.env)
    await mkdir(settings.dataDir, { recursive: true, mode: 0o711 })
    lock = await lockDataDir(settings.dataDir)
    return await runService(options, lock)
  } catch (error) {
    if (options.stop.aborted) return 0
    options.say(`sluice: ${error instanceof Error ? error.message : String(error)}`)
    return error instanceof UpError ? error.exitCode : 1
  } finally {
    await lock?.release()
  }
}

async function runService(options: UpOptions, lock: DataDirLock): Promise<0 | 2> {
  const settings = readUpSettings(options.env)
  const paths = dataDirPaths(settings.dataDir)
  const backoff = options.backoff ?? BACKOFF
  await requireFreePort(settings.host, settings.port)

  const logs = {
    api: openLogFile(join(paths.logs, 'api.log')),
    worker: openLogFile(join(paths.logs, 'worker.log')),
    postgres: openLogFile(join(paths.logs, 'postgres.log')),
  } satisfies Record<string, LogFile>
  const show = (name: keyof typeof logs, line: string, stream: 'stdout' | 'stderr') => {
    logs[name].write(line)
    const formatted = formatLogLine(name, line, stream, settings.showAll)
    if (formatted !== null) options.say(formatted)
  }
  const onDeath = (name: string) => (how: string, waitMs: number) =>
    options.say(`${name.padEnd(8)} ended (${how}); starting it again in ${waitMs / 1_000} s`)

  const badSettings = new AbortController()
  const ended = AbortSignal.any([options.stop, badSettings.signal])
  const pids: { worker: number | null; api: number | null } = { worker: null, api: null }
  const child = (
    name: 'api' | 'worker',
    entry: string,
    environment: () => Promise<Record<string, string>>,
  ): SupervisedChild =>
    superviseChild({
      name,
      entry,
      environment,
      backoff,
      onDeath: onDeath(name),
      onLine: (line, stream) => show(name, line, stream),
      onPid: (pid) => {
        pids[name] = pid
        return lock.noteChildren([pids.worker, pids.api].filter((noted) => noted !== null))
      },
      onBadSettings: () => {
        options.say(`sluice: the ${name} refused its settings (see above); stopping`)
        badSettings.abort()
      },
    })

  let postgres: SupervisedPostgres | null = null
  const databaseUrl = () => settings.databaseUrl ?? postgres?.current().databaseUrl ?? ''
  const queueUrl = () =>
    given(options.env.REDIS_URL) === null && given(options.env.SLUICE_QUEUE_URL) === null
      ? (postgres?.current().queueUrl ?? null)
      : null
  const api = child('api', options.apiEntry, async () => apiEnvironment(options.env, settings, databaseUrl()))
  const worker = child('worker', options.workerEntry, async () =>
    workerEnvironment(options.env, settings, (await readFile(paths.workerToken, 'utf8')).trim(), queueUrl()),
  )

  const bringUp = async (): Promise<void> => {
    if (settings.databaseUrl === null) {
      options.say(`  database   PostgreSQL in ${paths.postgres}`)
      postgres = supervisePostgres({
        dir: paths.postgres,
        backoff,
        onDeath: onDeath('postgres'),
        onLine: (line) => show('postgres', line, 'stdout'),
        onMoved: () => {
          worker.restart()
          api.restart()
        },
      })
      await postgres.start(ended)
    } else {
      options.say('  database   from SLUICE_DATABASE_URL')
    }
    ended.throwIfAborted()
    options.say(`  api        ${settings.apiUrl}`)
    api.start()
    await waitForOk(`${settings.apiUrl}/health`, ended, PATIENCE_MS, () =>
      options.say(
        `  still waiting for ${settings.apiUrl}/health; the API's log is ${join(paths.logs, 'api.log')}`,
      ),
    )
    options.say('  worker     starting')
    worker.start()
    await waitForOk(`${settings.apiUrl}/ready`, ended, PATIENCE_MS, (last) =>
      options.say(`  still waiting for ${settings.apiUrl}/ready: ${last?.body ?? 'no answer'}`),
    )
    const keys = await readKeys(paths.keys)
    options.say(
      keys === null
        ? `  ready at ${settings.publicUrl}, but ${paths.keys} is not there`
        : firstSteps(settings, keys),
    )
  }

  try {
    await bringUp()
    if (!ended.aborted)
      await new Promise((resolve) => ended.addEventListener('abort', resolve, { once: true }))
  } catch (error) {
    if (!ended.aborted) throw error
  } finally {
    if (options.stop.aborted) options.say('  stopping: worker, API, PostgreSQL')
    await worker.stop(STOP_MS.worker)
    await api.stop(STOP_MS.api)
    await (postgres as SupervisedPostgres | null)?.stop(STOP_MS.postgres)
    for (const log of Object.values(logs)) log.close()
  }
  return badSettings.signal.aborted ? 2 : 0
}
