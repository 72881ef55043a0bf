import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { requireProgram } from '../../support/debian-package.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import { type InstallationOptions, MARK_VARIABLE } from './installation.ts'
import { S3_MAIN } from './paths.ts'
import { type KeptProcess, keepProcess } from './process-keeper.ts'
import { openWire, type Wire } from './wire.ts'

/** The servers that an operator brings: Redis and S3, where they are asked for. */
export interface Outside {
  /** Settings that lead the service to them, through the wires. */
  env: Record<string, string>
  wires: Wire[]
  redisPort: number | null
  /** Straight to Redis, past the wires. */
  redisUrl: string | null
  pids(kind: 'redis' | 's3'): number[]
  stop(): Promise<void>
}

/** While this file exists, the S3 server answers every request with the status that stands in it. */
export function s3MoodFile(dir: string): string {
  return join(dir, 's3-mood')
}

/** Starts them as processes of their own, kept alive, and waits until they listen. */
export async function openOutside({ queue, store, dir }: InstallationOptions): Promise<Outside> {
  const kept: Partial<Record<'redis' | 's3', KeptProcess>> = {}
  const wires: Wire[] = []
  const env: Record<string, string> = {}
  const mark = { PATH: process.env.PATH ?? '', [MARK_VARIABLE]: dir }
  let redisPort: number | null = null
  if (queue === 'redis') {
    redisPort = await freePort()
    const program = await requireProgram(['redis-server', 'valkey-server'], 'redis-server')
    const folder = join(dir, 'redis')
    mkdirSync(folder, { recursive: true })
    const settings = `--bind 127.0.0.1 --port ${redisPort} --dir ${folder} --appendonly yes --maxmemory-policy noeviction`
    kept.redis = keepProcess({
      name: 'redis',
      command: [program, ...settings.split(' ')],
      env: mark,
      logFile: join(dir, 'logs', 'redis.log'),
    })
    const wire = await openWire('service to redis', [redisPort])
    wires.push(wire)
    env.REDIS_URL = `redis://127.0.0.1:${wire.port}`
    await untilListening(redisPort)
  }
  if (store === 's3') {
    const port = await freePort()
    const folder = join(dir, 's3')
    mkdirSync(folder, { recursive: true })
    kept.s3 = keepProcess({
      name: 's3',
      command: [process.execPath, S3_MAIN, String(port), folder, s3MoodFile(dir)],
      env: mark,
      logFile: join(dir, 'logs', 's3.log'),
    })
    const wire = await openWire('service to s3', [port])
    wires.push(wire)
    Object.assign(env, {
      SLUICE_S3_ENDPOINT: `http://127.0.0.1:${wire.port}`,
      AWS_ACCESS_KEY_ID: 'S3RVER',
      AWS_SECRET_ACCESS_KEY: 'S3RVER',
    })
    await untilListening(port)
  }
  return {
    env,
    wires,
    redisPort,
    redisUrl: redisPort === null ? null : `redis://127.0.0.1:${redisPort}`,
    pids: (kind) => [kept[kind]?.pid() ?? null].filter((pid) => pid !== null),
    stop: async () => {
      await Promise.all(Object.values(kept).map((process) => process.stop()))
      for (const wire of wires) await wire[Symbol.asyncDispose]()
    },
  }
}

async function untilListening(port: number): Promise<void> {
  const tries = () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      (error: { cause?: { code?: string } }) => error.cause?.code !== 'ECONNREFUSED',
    )
  await eventually(tries, Boolean)
}
