import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Generation } from '@sluice/shared/generation'
import type { Film, FilmProgress } from './film.ts'
import type { Reference } from './reference.ts'

export interface FilmJob {
  generation: Generation
  latent: Float64Array
  references: readonly Reference[]
  folder: string
}

export type FilmNews =
  | { type: 'progress'; progress: FilmProgress }
  | { type: 'finished'; film: Film }
  | { type: 'failed'; message: string }

/** One thread leaves a core of a small machine to the steps; two are as much as the steps of one runner can feed. */
const THREADS_MAX = Math.max(1, Math.min(2, availableParallelism() - 1))
/** Films that wait for a thread; with more the runner holds its device until one is done. */
const WAITING_MAX = 3
/** A film that waits or works says where it stands at least this often, in milliseconds. */
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

  /** Resolves when a film can be taken without the queue growing over its bound, or when `signal` aborts. */
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
    this.#next()
    try {
      return await done.promise
    } finally {
      clearInterval(news)
    }
  }

  #next(): void {
    if (this.#working >= THREADS_MAX) return
    const film = this.#waiting.shift()
    if (film === undefined) return
    for (const resolve of this.#roomWanted.splice(0)) resolve()
    this.#working++
    const thread = this.#idle.pop() ?? this.#startThread()
    const settle = (keep: boolean, act: () => void): void => {
      thread.off('message', onMessage).off('error', onError).off('exit', onExit)
      this.#working--
      if (keep) this.#idle.push(thread)
      else void thread.terminate()
      act()
      this.#next()
    }
    const onMessage = (news: FilmNews): void => {
      if (news.type === 'progress') film.onProgress(news.progress)
      else if (news.type === 'finished') settle(true, () => film.done.resolve(news.film))
      // A thread that failed once may hold a broken encoder: the next film gets a new one.
      else settle(false, () => film.done.reject(new Error(news.message)))
    }
    const onError = (error: Error): void => settle(false, () => film.done.reject(error))
    const onExit = (code: number): void =>
      settle(false, () => film.done.reject(new Error(`the film thread ended with code ${code}`)))
    thread.on('message', onMessage).on('error', onError).on('exit', onExit)
    thread.postMessage(film.job)
  }

  #startThread(): Worker {
    const thread = new Worker(new URL('./film-thread.ts', import.meta.url))
    // One that dies while idle must not end the process, nor be given a film it would never answer.
    thread.on('error', () => undefined)
    thread.on('exit', () => {
      const place = this.#idle.indexOf(thread)
      if (place !== -1) this.#idle.splice(place, 1)
    })
    return thread
  }
}
