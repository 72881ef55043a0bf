import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { TraceEvent } from './trace.ts'

const WATCH = new URL('./watch-process.ts', import.meta.url).href
const TRACE = new URL('./trace-process.ts', import.meta.url).href

/** Of Node, for a child with an `ipc` channel that is to be watched. */
export const WATCH_ARGUMENTS = ['--expose-gc', `--import=${fileURLToPath(WATCH)}`]

/** The same, for a child that is to be traced as well. */
export const TRACE_ARGUMENTS = [...WATCH_ARGUMENTS, `--import=${fileURLToPath(TRACE)}`]

/** `heap` collects all garbage first. */
export interface Asked {
  id: number
  ask: 'loop' | 'heap'
}

/** Milliseconds for which the event loop was late, each looked at every millisecond. */
interface LoopDelay {
  p50: number
  p99: number
  max: number
}

export interface Told {
  id: number
  /** Since it was asked the last time. */
  loop: LoopDelay
  /** Since the start of the process, of user and system. */
  cpuSeconds: number
  heapBytes: number
}

/** A child that was started with WATCH_ARGUMENTS and an `ipc` channel. */
export class WatchedChild {
  readonly #child: ChildProcess
  #asked = 0

  constructor(child: ChildProcess) {
    this.#child = child
  }

  /** What it has noted since it was asked the last time, after which it begins anew. */
  async ask(ask: Asked['ask'] = 'loop'): Promise<Told> {
    this.#asked += 1
    const id = this.#asked
    return new Promise((resolve, reject) => {
      const onExit = () => reject(new Error('the watched process has ended'))
      const onMessage = (told: Told) => {
        if (told.id !== id) return
        this.#child.off('message', onMessage)
        this.#child.off('exit', onExit)
        resolve(told)
      }
      this.#child.on('message', onMessage)
      this.#child.once('exit', onExit)
      this.#child.send({ id, ask } satisfies Asked)
    })
  }

  /** Begins to note what it does; it must have been started with TRACE_ARGUMENTS. */
  startTrace(): void {
    this.#child.send({ trace: 'start' })
  }

  /** What it has done since `startTrace`. */
  async stopTrace(): Promise<TraceEvent[]> {
    return new Promise((resolve) => {
      const onMessage = ({ traced }: { traced?: TraceEvent[] }) => {
        if (traced === undefined) return
        this.#child.off('message', onMessage)
        resolve(traced)
      }
      this.#child.on('message', onMessage)
      this.#child.send({ trace: 'stop' })
    })
  }
}
