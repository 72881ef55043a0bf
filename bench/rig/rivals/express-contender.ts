import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { pause } from '@sluice/shared/pause'
import { freePort } from '../../../test/support/free-port.ts'
import { Connection } from '../connection.ts'
import { rawPost } from '../raw-client.ts'
import { SMALL } from '../small.ts'
import { untilHealthy } from './child-service.ts'
import { atWork, type Contender, STORE_MS, WORK_MS, wallMs } from './contender.ts'
import { openWorker, type RivalQueue } from './queues.ts'

const MAIN = fileURLToPath(new URL('./express-process.ts', import.meta.url))

/** Express with a queue behind it; its worker runs in the bench's own process. */
export async function openExpressContender(queue: RivalQueue, queueUrl: string): Promise<Contender> {
  const port = await freePort()
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH ?? '', RIVAL_QUEUE: queue, RIVAL_URL: queueUrl, PORT: String(port) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const url = `http://127.0.0.1:${port}`
  const end = await untilHealthy(child, url)
  const connection = new Connection(url)
  const accepted = rawPost(url, '/accept', SMALL, {})
  let onStart = () => {}
  const endWorker = await openWorker(queue, queueUrl, { purpose: 'start', handle: async () => onStart() })
  return {
    name: `Express, ${queue}`,
    url,
    acceptRequest: () => accepted,
    startMs: async () => {
      const started = new Promise<number>((resolve) => {
        onStart = () => resolve(wallMs())
      })
      const submittedMs = wallMs()
      await connection.post('/start', '', SMALL)
      return (await started) - submittedMs
    },
    workOff: async (videos) => {
      for (let index = 0; index < videos; index += 1) await connection.post('/work', '', SMALL)
      const jobs: { beganMs: number; endedMs: number }[] = []
      const done = Promise.withResolvers<void>()
      const handle = async () => {
        const beganMs = wallMs()
        await pause(WORK_MS)
        jobs.push({ beganMs, endedMs: wallMs() })
        // The files of the video are stored before the job is done, as examples show it.
        await pause(STORE_MS)
        if (jobs.length === videos) done.resolve()
      }
      const endWork = await openWorker(queue, queueUrl, { purpose: 'work', handle })
      await done.promise
      await endWork()
      return atWork(jobs)
    },
    close: async () => {
      await endWorker()
      connection.close()
      await end()
    },
  }
}
