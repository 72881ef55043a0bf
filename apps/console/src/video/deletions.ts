/** How long a deletion can be undone before the API is asked for it. */
export const UNDO_MS = 6_000

/** Where the deletion of a video stands. */
export type Deletion = { state: 'waiting' } | { state: 'sending' } | { state: 'failed'; error: Error }

interface DeletionsDeps {
  undoMs: number
  /** Asks the API. */
  send: (id: string) => Promise<void>
}

/** The deletions of one session: each waits a moment in which it can be undone, and is asked for once. */
export class Deletions {
  readonly #deps: DeletionsDeps
  readonly #byId = new Map<string, Deletion>()
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>()
  readonly #listeners = new Set<() => void>()

  constructor(deps: DeletionsDeps) {
    this.#deps = deps
  }

  /** The deletion of that video: the same object until it changes. Undefined = nobody wants it gone. */
  of(id: string): Deletion | undefined {
    return this.#byId.get(id)
  }

  /** Wants the video gone. A second time changes nothing. */
  begin(id: string): void {
    const state = this.#byId.get(id)?.state
    if (state === 'waiting' || state === 'sending') return
    this.#timers.set(
      id,
      setTimeout(() => this.#send(id), this.#deps.undoMs),
    )
    this.#set(id, { state: 'waiting' })
  }

  /** Wants it back, while it can be had. */
  undo(id: string): void {
    if (this.#byId.get(id)?.state !== 'waiting') return
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
    this.#set(id, undefined)
  }

  /** Asks for everything that waits now, since the page is being left. */
  flush(): void {
    for (const id of [...this.#timers.keys()]) this.#send(id)
  }

  /** Calls `listener` at each change. Returns a function that removes it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #send(id: string): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
    this.#set(id, { state: 'sending' })
    this.#deps.send(id).then(
      () => this.#set(id, undefined),
      (error: unknown) =>
        this.#set(id, { state: 'failed', error: error instanceof Error ? error : new Error(String(error)) }),
    )
  }

  #set(id: string, deletion: Deletion | undefined): void {
    if (deletion === undefined) this.#byId.delete(id)
    else this.#byId.set(id, deletion)
    for (const listener of this.#listeners) listener()
  }
}
