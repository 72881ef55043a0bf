import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireProgram } from './debian-package.ts'
import { freePort } from './free-port.ts'

export interface PrivateRedis {
  url: string
  port: number
  /** Stops the server, whose data is lost. */
  stop(): Promise<void>
  /** Starts an empty server on the same port. */
  start(): Promise<void>
  /** Stops the server and removes its folder. */
  close(): Promise<void>
}

/**
 * Starts a redis-server that this test alone uses and may stop and start again, with `settings` of its
 * configuration over those of a test. Throws as `requireProgram`.
 */
export async function startPrivateRedis(settings: Record<string, string> = {}): Promise<PrivateRedis> {
  const program = await requireProgram(['redis-server', 'valkey-server'], 'redis-server')
  const port = await freePort()
  const dir = await mkdtemp(join(tmpdir(), 'sluice-redis-'))
  let child: ChildProcess | undefined
  const redis: PrivateRedis = {
    url: `redis://127.0.0.1:${port}`,
    port,
    async start() {
      child = await spawnRedis(program, { port, dir, settings })
    },
    async stop() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
    async close() {
      await redis.stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
  await redis.start()
  return redis
}

export interface RedisServer {
  port: number
  /** Its working folder. */
  dir: string
  /** How many databases it has; Redis has 16 by default. */
  databases?: number
  /** Of its configuration, over those of a test. */
  settings?: Record<string, string>
}

/**
 * Starts `program`, a redis-server, on loopback without persistence. Resolves when it accepts connections.
 */
export async function spawnRedis(program: string, server: RedisServer): Promise<ChildProcess> {
  const settings = {
    bind: '127.0.0.1',
    port: server.port,
    dir: server.dir,
    databases: server.databases ?? 16,
    save: '',
    appendonly: 'no',
    // BullMQ needs a Redis that evicts nothing.
    'maxmemory-policy': 'noeviction',
    ...server.settings,
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH ?? '' },
  })
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${output}`)))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('Ready to accept connections')) resolve()
    })
  })
  child.removeAllListeners('exit')
  child.stdout.removeAllListeners('data').resume()
  return child
}
