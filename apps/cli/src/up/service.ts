import { readFile } from 'node:fs/promises'
import { hideSecrets } from '@sluice/shared/hide-secrets'
import { readKeys } from '../connection/keys-file.ts'
import { dataDirPaths } from '../data-dir.ts'
import { ask, missingParts, waitForOk } from './api-state.ts'
import { BACKOFF, type BackoffSettings } from './backoff.ts'
import { apiEnvironment, workerEnvironment } from './child-environment.ts'
import type { ChildrenList } from './children-list.ts'
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
  /** How long each part may take to stop by itself; default 12, 4 and 3 s. */
  stopMs?: { worker: number; api: number; postgres: number }
}

/**
 * PostgreSQL, API and worker of one `sluice up`: their start, their restarts, and their stop in the reverse
 * order.
 */
export class Service {
  readonly #options: ServiceOptions
  readonly #settings: UpSettings
  readonly #children: ChildrenList
  readonly #paths: ReturnType<typeof dataDirPaths>
  readonly #backoff: BackoffSettings
  readonly #logs: ServiceLogs
  readonly #badSettings = new AbortController()
  /** Aborted when the service shall stop, for whatever reason. */
  readonly #ended: AbortSignal
  readonly #api: SupervisedChild
  readonly #worker: SupervisedChild
  readonly #pids: { worker: number | null; api: number | null } = { worker: null, api: null }
  /** When a child died that has not come back yet, by its name. */
  readonly #deaths = new Map<string, { at: number; over: AbortController }>()
  #postgres: SupervisedPostgres | null = null
  #wasReady = false

  constructor(options: ServiceOptions, settings: UpSettings, lock: DataDirLock) {
    this.#options = options
    this.#settings = settings
    this.#children = lock.children(({ message }) =>
      options.print(`sluice: the list of children is not kept (${message}); the service goes on`),
    )
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
    await waitForOk(`${apiUrl}/ready`, this.#ended, PATIENCE_MS, () => this.#printMissing())
    this.#wasReady = true
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
      onReturn: () => this.#printReturn('postgres'),
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
    const stopMs = this.#options.stopMs ?? STOP_MS
    const parts = [
      ['worker', () => this.#worker.stop(stopMs.worker)],
      ['API', () => this.#api.stop(stopMs.api)],
      ['PostgreSQL', () => this.#postgres?.stop(stopMs.postgres) ?? true],
    ] as const
    for (const [name, stop] of parts) {
      if (!(await stop())) this.#options.print(`sluice: the ${name} could not be ended and is left behind`)
    }
    this.#children.close()
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
        this.#children.write([worker, api].filter((noted) => noted !== null))
        if (pid !== null) this.#watchReturn(name)
      },
      onBadSettings: () => {
        // What it worked with before is not wrong now: something else is in its way, and may pass.
        if (this.#wasReady) return false
        this.#options.print(`sluice: the ${name} refused its settings (see above); stopping`)
        this.#badSettings.abort()
        return true
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
    const at = this.#deaths.get(name)?.at ?? performance.now()
    this.#deaths.get(name)?.over.abort()
    this.#deaths.set(name, { at, over: new AbortController() })
    this.#options.print(`${name.padEnd(8)} ended (${how}); starting it again in ${waitMs / 1_000} s`)
  }

  #printReturn(name: string): void {
    const death = this.#deaths.get(name)
    if (death === undefined) return
    this.#deaths.delete(name)
    const seconds = ((performance.now() - death.at) / 1_000).toFixed(1)
    this.#options.print(`${name.padEnd(8)} is back after ${seconds} s`)
  }

  /** Prints that a child which died is back, once it does its work again. */
  #watchReturn(name: 'api' | 'worker'): void {
    const over = this.#deaths.get(name)?.over.signal
    if (over === undefined) return
    const url = `${this.#settings.apiUrl}/${name === 'api' ? 'health' : 'ready'}`
    waitForOk(url, AbortSignal.any([over, this.#ended]), PATIENCE_MS, () => undefined).then(
      () => this.#printReturn(name),
      // It died again, or everything ends.
      () => undefined,
    )
  }

  #printMissing(): void {
    readKeys(this.#paths.keys)
      .catch(() => null)
      .then((keys) => ask(`${this.#settings.apiUrl}/ready`, { signal: this.#ended, key: keys?.admin_key }))
      .then((answer) => {
        if (answer?.status !== 200 && !this.#ended.aborted)
          this.#options.print(`  still waiting for ${missingParts(answer)}`)
      })
      .catch(() => {})
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
