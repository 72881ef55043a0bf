import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { freePort } from '../../../test/support/free-port.ts'
import { Connection } from '../connection.ts'
import { rawPost } from '../raw-client.ts'
import { SMALL } from '../small.ts'
import { endChild, untilHealthy } from './child-service.ts'
import { atWork, type Contender, STORE_MS, WORK_MS, wallMs } from './contender.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const PYTHON = fileURLToPath(new URL('../../../.test/celery/bin/python', import.meta.url))

/** Said when FastAPI and Celery are not there. */
export const HOW_TO_HAVE_CELERY =
  'FastAPI with Celery is left out: python3 -m venv .test/celery && ' +
  '.test/celery/bin/pip install -r bench/rig/rivals/requirements.txt'

/** FastAPI with Celery on Redis; null when they are not installed. */
export async function openCeleryContender(redisUrl: string): Promise<Contender | null> {
  if (!existsSync(PYTHON)) return null
  const port = await freePort()
  const env = {
    PATH: process.env.PATH ?? '',
    PYTHONDONTWRITEBYTECODE: '1',
    // It warns of a worker that runs as root.
    PYTHONWARNINGS: 'ignore',
    RIVAL_URL: redisUrl,
    RIVAL_WORK_SECONDS: String(WORK_MS / 1_000),
    RIVAL_STORE_SECONDS: String(STORE_MS / 1_000),
  }
  const python = (args: string[]) => spawn(PYTHON, ['-m', ...args], { cwd: HERE, env, stdio: 'ignore' })
  const worker = (queue: string) =>
    python([
      'celery',
      '--app',
      'celery_service:tasks',
      '--quiet',
      'worker',
      '--pool',
      'solo',
      '--queues',
      queue,
    ])
  const server = python(['uvicorn', 'celery_service:app', '--port', String(port), '--log-level', 'warning'])
  const url = `http://127.0.0.1:${port}`
  const accepted = rawPost(url, '/accept', SMALL, {})
  const end = await untilHealthy(server, url)
  const starter = worker('start')
  process.once('exit', () => starter.kill('SIGKILL'))
  const connection = new Connection(url)
  const redis = new Redis(redisUrl)
  const told = async (): Promise<{ began: number; ended: number }> =>
    JSON.parse((await redis.blpop('told', 60))?.[1] ?? '{}')
  return {
    name: 'FastAPI, Celery on Redis',
    url,
    acceptRequest: () => accepted,
    startMs: async () => {
      const submittedMs = wallMs()
      await connection.post('/start', '', SMALL)
      return (await told()).began * 1_000 - submittedMs
    },
    workOff: async (videos) => {
      for (let index = 0; index < videos; index += 1) await connection.post('/work', '', SMALL)
      const child = worker('work')
      process.once('exit', () => child.kill('SIGKILL'))
      const jobs = []
      while (jobs.length < videos) {
        const { began, ended } = await told()
        jobs.push({ beganMs: began * 1_000, endedMs: ended * 1_000 })
      }
      await endChild(child)
      return atWork(jobs)
    },
    close: async () => {
      redis.disconnect()
      connection.close()
      await endChild(starter)
      await end()
    },
  }
}
