import { parentPort } from 'node:worker_threads'
import sharp from 'sharp'
import { type FilmJob, makeFilm } from './film.ts'
import type { FilmNews } from './film-queue.ts'

/** A worker thread that draws and encodes one film at a time, beside the steps of the next video. */
if (parentPort === null) throw new Error('film-thread.ts runs as a worker thread only')
const port = parentPort
/** Milliseconds between two progress messages. */
const PROGRESS_MS = 250

// One core belongs to this thread; sharp would start one more per core.
sharp.concurrency(1)
sharp.cache(false)

// A job that throws is sent as a message.
// oxlint-disable-next-line typescript/no-misused-promises -- it catches everything
port.on('message', async (job: FilmJob) => {
  const say = (news: FilmNews): void => port.postMessage(news)
  let saidAt = 0
  try {
    const film = await makeFilm(job, (progress) => {
      const now = performance.now()
      if (now - saidAt < PROGRESS_MS && progress.step < progress.steps) return
      saidAt = now
      say({ type: 'progress', progress })
    })
    say({ type: 'finished', film })
  } catch (error) {
    say({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
  }
})
