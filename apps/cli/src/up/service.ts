import { readFile } from 'node:fs/promises'
import { hideSecrets } from '@sluice/shared/hide-secrets'
import { readKeys } from '../connection/keys-file.ts'
import { dataDirPaths } from '../data-dir.ts'
import { waitForOk } from './api-state.ts'
import { BACKOFF, type BackoffSettings } from './backoff.ts'
import { apiEnvironment, workerEnvironment } from './child-environment.ts'
import type { DataDirLock } from './data-dir-lock.ts'
import { firstSteps } from './first-steps.ts'
import { ServiceLogs } from './service-logs.ts'
import { namesQueue, type UpSettings } from './settings.ts'
import { type SupervisedChild, superviseChild } from './supervised-child.ts'
import { type SupervisedPostgres, supervisePostgres } from './supervised-postgres.ts'

/** A stop may take 20 s in all, including the SIGKILL that ends what does not stop. */
const STOP_MS = { worker: 12_000, api: 4_000, postgres: 3_000 } as const
/** After this long without an answer the terminal shows what the start waits for. */
const PATIENCE_MS = 15_000

export interface ServiceOptions {
  env: NodeJS.ProcessEnv
  /** The programs to run, as paths: their code is never imported here. */
  apiEntry: string
  workerEntry: string
  /** Writes a line for the person at the terminal. */
  print(line: string): void
  /** Aborted by the first SIGINT or SIGTERM. */
  stop: AbortSignal
  backoff?: BackoffSettings
}

/**
 * PostgreSQL, API and worker of one `sluice up`: their start, their restarts, and their stop in the reverse
 * order.
 */
export class Service {
  readonly #options: ServiceOptions
  readonly #settings: UpSettings
  readonly #lock: DataDirLock
  readonly #paths: ReturnType<typeof dataDirPaths>
  readonly #backoff: BackoffSettings
  readonly #logs: ServiceLogs
  readonly #badSettings = new AbortController()
  /** Aborted when the service shall stop, for whatever reason. */
  readonly #ended: AbortSignal
  readonly #api: SupervisedChild
  readonly #worker: SupervisedChild
  readonly #pids: { worker: number | null; api: number | null } = { worker: null, api: null }
  #postgres: SupervisedPostgres | null = null

  constructor(options: ServiceOptions, settings: UpSettings, lock: DataDirLock) {
    this.#options = options
    this.#settings = settings
    this.#lock = lock
    this.#paths = dataDirPaths(settings.dataDir)
    this.#backoff = options.backoff ?? BACKOFF
    this.#logs = new ServiceLogs(this.#paths.logs, settings.shownLines, {
      print: options.print,
      hide: hideSecrets(options.env),
    })
    this.#ended = AbortSignal.any([options.stop, this.#badSettings.signal])
    this.#api = this.#supervise('api', options.apiEntry, () => this.#apiEnvironment())
    this.#worker = this.#supervise('worker', options.workerEntry, () => this.#workerEnvironment())
  }

  /**
   * Starts everything, runs until the stop, and stops everything. Returns 0, or 2 when a child refused its
   * settings. Throws EmbeddedPostgresError when PostgreSQL cannot start.
   */
  async run(): Promise<0 | 2> {
    try {
      await this.#start()
      if (!this.#ended.aborted) {
        await new Promise((resolve) => this.#ended.addEventListener('abort', resolve, { once: true }))
      }
    } catch (error) {
      if (!this.#ended.aborted) throw error
    } finally {
      await this.#stop()
    }
    return this.#badSettings.signal.aborted ? 2 : 0
  }

  async #start(): Promise<void> {
    const { print } = this.#options
    const { apiUrl } = this.#settings
    await this.#startPostgres()
    this.#ended.throwIfAborted()
    print(`  api        ${apiUrl}`)
    this.#api.start()
    await waitForOk(`${apiUrl}/health`, this.#ended, PATIENCE_MS, () =>
      print(`  still waiting for ${apiUrl}/health; the API's log is ${this.#logs.pathOf('api')}`),
    )
    print('  worker     starting')
    this.#worker.start()
    await waitForOk(`${apiUrl}/ready`, this.#ended, PATIENCE_MS, (last) =>
      print(`  still waiting for ${apiUrl}/ready: ${last?.body ?? 'no answer'}`),
    )
    await this.#printFirstSteps()
  }

  async #startPostgres(): Promise<void> {
    const { print } = this.#options
    if (this.#settings.databaseUrl !== null) {
      print('  database   from SLUICE_DATABASE_URL')
      return
    }
    print(`  database   PostgreSQL in ${this.#paths.postgres}`)
    this.#postgres = supervisePostgres({
      dir: this.#paths.postgres,
      backoff: this.#backoff,
      onDeath: (how, waitMs) => this.#printDeath('postgres', how, waitMs),
      onLine: (line) => this.#logs.write('postgres', line, 'stdout'),
      onMoved: () => {
        this.#worker.restart()
        this.#api.restart()
      },
    })
    await this.#postgres.start(this.#ended)
  }

  async #stop(): Promise<void> {
    if (this.#options.stop.aborted) this.#options.print('  stopping: worker, API, PostgreSQL')
    await this.#worker.stop(STOP_MS.worker)
    await this.#api.stop(STOP_MS.api)
    await this.#postgres?.stop(STOP_MS.postgres)
    this.#logs.close()
  }

  #supervise(
    name: 'api' | 'worker',
    entry: string,
    environment: () => Promise<Record<string, string>>,
  ): SupervisedChild {
    return superviseChild({
      entry,
      environment,
      backoff: this.#backoff,
      onDeath: (how, waitMs) => this.#printDeath(name, how, waitMs),
      onLine: (line, stream) => this.#logs.write(name, line, stream),
      onPid: (pid) => {
        this.#pids[name] = pid
        const { worker, api } = this.#pids
        return this.#lock.noteChildren([worker, api].filter((noted) => noted !== null))
      },
      onBadSettings: () => {
        this.#options.print(`sluice: the ${name} refused its settings (see above); stopping`)
        this.#badSettings.abort()
      },
    })
  }

  async #apiEnvironment(): Promise<Record<string, string>> {
    const databaseUrl = this.#settings.databaseUrl ?? this.#postgres?.current().databaseUrl ?? ''
    return apiEnvironment(this.#options.env, this.#settings, databaseUrl)
  }

  async #workerEnvironment(): Promise<Record<string, string>> {
    const { env } = this.#options
    const token = (await readFile(this.#paths.workerToken, 'utf8')).trim()
    const queueUrl = namesQueue(env) ? null : (this.#postgres?.current().queueUrl ?? null)
    return workerEnvironment(env, this.#settings, token, queueUrl)
  }

  #printDeath(name: string, how: string, waitMs: number): void {
    this.#options.print(`${name.padEnd(8)} ended (${how}); starting it again in ${waitMs / 1_000} s`)
  }

  async #printFirstSteps(): Promise<void> {
    const keys = await readKeys(this.#paths.keys)
    this.#options.print(
      keys === null
        ? `  ready at ${this.#settings.publicUrl}, but ${this.#paths.keys} is not there`
        : firstSteps(this.#settings, keys),
    )
  }
}
