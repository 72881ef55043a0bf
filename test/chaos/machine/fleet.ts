import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dataDirPaths } from '../../../apps/cli/src/data-dir.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import { processesOf } from '../../support/processes-of.ts'
import { type ClockFile, createClockFile } from './clock-file.ts'
import { mountDisks } from './disks.ts'
import {
  type Installation,
  type InstallationOptions,
  MARK_VARIABLE,
  type ProcessKind,
} from './installation.ts'
import { type Outside, openOutside } from './outside.ts'
import { API_MAIN, RUNNER_PART, WORKER_MAIN } from './paths.ts'
import { keepPostgres } from './postgres-keeper.ts'
import { superuserUrl } from './postgres-pid.ts'
import { type KeptProcess, keepProcess } from './process-keeper.ts'
import { runnerSettings } from './runner-settings.ts'
import { killAll } from './signals.ts'
import { openWire, type Wire } from './wire.ts'

const APIS = 2
const WORKERS = 3
const READY_MS_MAX = 90_000
/** Both sides get them, as in docker-compose.yml. */
const SECRETS = { SLUICE_SECRET: 'c4a0'.repeat(16), SLUICE_WORKER_TOKEN: `sk-worker-${'5e1f'.repeat(12)}` }

/** Two APIs and three workers, each kept by an init system, with a wire in every connection between parts. */
export async function startFleet(options: InstallationOptions): Promise<Installation> {
  const { dir } = options
  const logDir = join(dir, 'logs')
  mkdirSync(logDir, { recursive: true })
  const outside = await openOutside(options)
  const clock = await createClockFile(dir)
  const postgresDir = join(dir, 'postgres')
  const postgres = await keepPostgres(postgresDir, join(logDir, 'postgres.log'))
  const dataDir = join(dir, 'data')
  const objectDir = join(dataDir, 'objects')
  const disks = mountDisks(options, {
    workers: Array.from({ length: WORKERS }, (_, index) => join(workerDir(dir, index), 'worker')),
    objects: objectDir,
  })
  const apiPorts = await Promise.all(Array.from({ length: APIS }, freePort))
  const front = await openWire('clients to api', apiPorts)
  const parts: Parts = { options, outside, clock, postgres, dataDir, apiPorts, front, logDir, wires: [] }
  const apis: KeptProcess[] = []
  for (const [index] of apiPorts.entries()) {
    apis.push(await startApi(parts, index))
    // The first one alone migrates and makes the keys.
    await untilAnswer(`http://127.0.0.1:${apiPorts[index]}/health`)
  }
  const workers = await Promise.all(Array.from({ length: WORKERS }, (_, index) => startWorker(parts, index)))
  const origin = `http://127.0.0.1:${front.port}`
  await untilAnswer(`${origin}/ready`)
  const keys = JSON.parse(readFileSync(dataDirPaths(dataDir).keys, 'utf8'))
  const pids = (kind: ProcessKind): number[] => {
    switch (kind) {
      case 'api':
        return processesOf(dir, API_MAIN)
      case 'worker':
        return processesOf(dir, WORKER_MAIN)
      case 'runner':
        return processesOf(dir, RUNNER_PART)
      case 'postgres':
        return [postgres.pid()].filter((pid) => pid !== null)
      case 'redis':
      case 's3':
        return outside.pids(kind)
      case 'supervisor':
        return []
    }
  }
  return {
    layout: 'fleet',
    options,
    origin,
    key: keys.key,
    adminKey: keys.admin_key,
    adminUrl: () => superuserUrl(postgresDir),
    pids,
    objectDir: options.store === 'disk' ? objectDir : null,
    disks,
    workerDataDirs: workers.map((_, index) => workerDir(dir, index)),
    wires: [...outside.wires, ...parts.wires],
    redisUrl: outside.redisUrl,
    stepClocks: clock === null ? null : clock.step,
    logDir,
    powerCut: async () => {
      killAll(['api', 'worker', 'runner', 'redis', 's3'].flatMap((kind) => pids(kind as ProcessKind)))
      killAll(processesOf(postgresDir, 'postgres'))
    },
    stop: async () => {
      const problems: string[] = []
      for (const kept of [workers, apis]) {
        const ended = await Promise.all(kept.map((process) => process.stop()))
        ended.forEach((byItself, index) => {
          if (!byItself) problems.push(`${kept[index]?.name} had to be killed`)
        })
      }
      await postgres.stop()
      await outside.stop()
      for (const wire of [front, ...parts.wires]) await wire[Symbol.asyncDispose]()
      const left = processesOf(dir, '').filter((pid) => pid !== process.pid)
      killAll(left)
      return left.length === 0 ? problems : [...problems, `${left.length} processes were left behind`]
    },
  }
}

interface Parts {
  options: InstallationOptions
  outside: Outside
  clock: ClockFile | null
  postgres: Awaited<ReturnType<typeof keepPostgres>>
  dataDir: string
  apiPorts: number[]
  front: Wire
  logDir: string
  /** Those that faults may hit. */
  wires: Wire[]
}

async function startApi(parts: Parts, index: number): Promise<KeptProcess> {
  const { postgres, outside, clock, dataDir, apiPorts, front } = parts
  const name = `api-${index + 1}`
  const toPostgres = await addWire(parts, `${name} to postgres`, [postgres.port])
  return keepProcess({
    name,
    command: [process.execPath, API_MAIN],
    logFile: join(parts.logDir, `${name}.log`),
    env: {
      ...markOf(parts),
      PORT: String(apiPorts[index]),
      SLUICE_DATA_DIR: dataDir,
      SLUICE_DATABASE_URL: throughWire(postgres.databaseUrl, toPostgres),
      SLUICE_PUBLIC_URL: `http://127.0.0.1:${front.port}`,
      SLUICE_INTERNAL_URL: `http://127.0.0.1:${front.port}`,
      ...SECRETS,
      ...outside.env,
      ...(await ownRedisWire(parts, name)),
      ...clock?.env,
    },
  })
}

async function startWorker(parts: Parts, index: number): Promise<KeptProcess> {
  const { options, postgres, outside, clock, apiPorts } = parts
  const name = `worker-${index + 1}`
  const toApi = await addWire(parts, `${name} to api`, apiPorts)
  const queue =
    options.queue === 'redis'
      ? await ownRedisWire(parts, name)
      : {
          SLUICE_QUEUE_URL: throughWire(
            postgres.queueUrl,
            await addWire(parts, `${name} to queue`, [postgres.port]),
          ),
        }
  const { REDIS_URL: _shared, ...env } = outside.env
  return keepProcess({
    name,
    command: [process.execPath, WORKER_MAIN],
    logFile: join(parts.logDir, `${name}.log`),
    env: {
      ...markOf(parts),
      SLUICE_API_URL: `http://127.0.0.1:${toApi.port}`,
      SLUICE_WORKER_TOKEN: SECRETS.SLUICE_WORKER_TOKEN,
      SLUICE_DATA_DIR: workerDir(options.dir, index),
      ...runnerSettings(options.dir),
      ...env,
      ...queue,
      ...clock?.env,
    },
  })
}

/** Each process has its own way to Redis, so that a fault can hit one of them. */
async function ownRedisWire(parts: Parts, name: string): Promise<Record<string, string>> {
  const { redisPort } = parts.outside
  if (redisPort === null) return {}
  const wire = await addWire(parts, `${name} to redis`, [redisPort])
  return { REDIS_URL: `redis://127.0.0.1:${wire.port}` }
}

async function addWire(parts: Parts, name: string, targets: readonly number[]): Promise<Wire> {
  const wire = await openWire(name, targets)
  parts.wires.push(wire)
  return wire
}

function throughWire(url: string, wire: Wire): string {
  const through = new URL(url)
  through.port = String(wire.port)
  return through.href
}

function workerDir(dir: string, index: number): string {
  return join(dir, `worker-${index + 1}`)
}

function markOf(parts: Parts): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/', [MARK_VARIABLE]: parts.options.dir }
}

async function untilAnswer(url: string): Promise<void> {
  const ask = () =>
    fetch(url).then(
      ({ status }) => status,
      () => 0,
    )
  await eventually(ask, (status) => status === 200, READY_MS_MAX)
}
