import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Film, FilmJob, FilmProgress } from './film.ts'

/** What a film thread says about its film. */
export type FilmNews =
  | { type: 'progress'; progress: FilmProgress }
  | { type: 'finished'; film: Film }
  | { type: 'failed'; message: string }

/** One thread leaves a core of a small machine to the steps; two keep up with the steps of one runner. */
const THREADS_MAX = Math.max(1, Math.min(2, availableParallelism() - 1))
/** Films that wait for a thread; with more, the runner keeps its device until one is done. */
const WAITING_MAX = 3
/** A film that waits or is being made reports its progress at least this often. */
const NEWS_MS = 800

interface WaitingFilm {
  job: FilmJob
  onProgress: (progress: FilmProgress) => void
  done: PromiseWithResolvers<Film>
}

/** Films being drawn and encoded in worker threads, bounded in number, first come first served. */
export class FilmQueue {
  readonly #waiting: WaitingFilm[] = []
  readonly #idle: Worker[] = []
  readonly #roomWanted: (() => void)[] = []
  #working = 0

  /** Starts a thread ahead of the first film: loading the encoder takes longer than a step. */
  warm(): void {
    if (this.#idle.length === 0 && this.#working === 0) this.#idle.push(this.#startThread())
  }

  /** Resolves when the queue can take a film within its bound, or when `signal` aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#waiting.length >= WAITING_MAX && !signal.aborted) {
      const wanted = Promise.withResolvers<void>()
      this.#roomWanted.push(wanted.resolve)
      signal.addEventListener('abort', () => wanted.resolve(), { once: true })
      await wanted.promise
    }
  }

  /**
   * Draws and encodes. `onProgress` is called at least once a second, also while the film waits.
   * @throws Error when drawing, encoding or the thread fails; the queue stays usable.
   */
  async make(job: FilmJob, onProgress: (progress: FilmProgress) => void): Promise<Film> {
    let latest: FilmProgress = { phase: 'decode', step: 0, steps: job.generation.num_frames }
    const news = setInterval(() => onProgress(latest), NEWS_MS)
    const done = Promise.withResolvers<Film>()
    this.#waiting.push({
      job,
      done,
      onProgress: (progress) => {
        latest = progress
        onProgress(progress)
        news.refresh()
      },
    })
    this.#startNext()
    try {
      return await done.promise
    } finally {
      clearInterval(news)
    }
  }

  #startNext(): void {
    if (this.#working >= THREADS_MAX) return
    const film = this.#waiting.shift()
    if (film === undefined) return
    for (const resolve of this.#roomWanted.splice(0)) resolve()
    this.#working++
    const thread = this.#idle.pop() ?? this.#startThread()
    const leave = (): void => {
      thread.off('message', onMessage).off('error', fail).off('exit', onExit)
      this.#working--
    }
    const finish = (made: Film): void => {
      leave()
      this.#idle.push(thread)
      film.done.resolve(made)
      this.#startNext()
    }
    const fail = (error: Error): void => {
      leave()
      // The thread may hold a broken encoder: the next film gets a new one.
      // oxlint-disable-next-line typescript/no-floating-promises -- `terminate` never rejects
      void thread.terminate()
      film.done.reject(error)
      this.#startNext()
    }
    const onMessage = (news: FilmNews): void => {
      if (news.type === 'progress') film.onProgress(news.progress)
      else if (news.type === 'finished') finish(news.film)
      else fail(new Error(news.message))
    }
    const onExit = (code: number): void => fail(new Error(`the film thread ended with code ${code}`))
    thread.on('message', onMessage).on('error', fail).on('exit', onExit)
    thread.postMessage(film.job)
  }

  #startThread(): Worker {
    const thread = new Worker(new URL('./film-thread.ts', import.meta.url))
    // One that dies while idle must not end the process, nor get a film that it would never make.
    thread.on('error', () => undefined)
    thread.on('exit', () => {
      const place = this.#idle.indexOf(thread)
      if (place !== -1) this.#idle.splice(place, 1)
    })
    return thread
  }
}
