import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requireProgram } from './debian-package.ts'

export interface PrivateRedis {
  url: string
  port: number
  /** Stops the server, losing what it held; `start` brings an empty one up on the same port. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Stops the server and removes its folder. */
  close(): Promise<void>
}

/** A redis-server of this test's own, on a free loopback port, without persistence, that it may stop and start. Throws as `requireProgram`. */
export async function startPrivateRedis(): Promise<PrivateRedis> {
  const program = await requireProgram(['redis-server', 'valkey-server'], 'redis-server')
  const port = await freePort()
  const dir = await mkdtemp(join(tmpdir(), 'sluice-redis-'))
  let child: ChildProcess | undefined
  const redis: PrivateRedis = {
    url: `redis://127.0.0.1:${port}`,
    port,
    async start() {
      child = await spawnRedis(program, port, dir)
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

async function spawnRedis(program: string, port: number, dir: string): Promise<ChildProcess> {
  const args = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    dir,
    '--maxmemory-policy',
    'noeviction',
  ]
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH ?? '' },
  })
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.once('error', (error) =>
      reject(
        new Error('redis-server cannot be started: run "apt-get install -y redis-server"', { cause: error }),
      ),
    )
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('Ready to accept connections')) resolve()
    })
  })
  child.removeAllListeners('exit')
  child.stdout.removeAllListeners('data').resume()
  return child
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  server.close()
  await once(server, 'close')
  return address.port
}
