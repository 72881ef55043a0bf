import { linkSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'

export interface CheckpointUploadsDeps {
  /** The attempt's own folder: the runner does not write here. */
  folder: string
  /** Aborted when the attempt is over. */
  ended: AbortSignal
  /** Puts one checkpoint and returns its bytes. */
  upload(path: string): Promise<number>
  onUploaded(step: number, bytes: number): void
  log: Logger
}

/**
 * Uploads the checkpoints of one attempt, one at a time; of those that come meanwhile only the newest.
 * Nothing here throws.
 */
export class CheckpointUploads {
  readonly #deps: CheckpointUploadsDeps
  #count = 0
  #next: { step: number; path: string } | undefined
  #uploadedStep = 0
  #uploading: Promise<void> = Promise.resolve()

  constructor(deps: CheckpointUploadsDeps) {
    this.#deps = deps
  }

  /** Steps of the newest checkpoint that is up; 0 = none. */
  get uploadedStep(): number {
    return this.#uploadedStep
  }

  /** Takes a hard link, which keeps these bytes when the runner renames the next checkpoint over them. */
  add(step: number, runnerPath: string): void {
    const path = join(this.#deps.folder, `checkpoint-${this.#count}`)
    this.#count += 1
    try {
      linkSync(runnerPath, path)
    } catch (error) {
      this.#deps.log.warn({ err: error, step }, 'the checkpoint cannot be kept')
      return
    }
    if (this.#next === undefined) this.#uploading = this.#uploading.then(() => this.#uploadNext())
    else this.#remove(this.#next.path)
    this.#next = { step, path }
  }

  /** Resolves when every checkpoint was uploaded or given up. */
  async finished(): Promise<void> {
    await this.#uploading
  }

  async #uploadNext(): Promise<void> {
    const checkpoint = this.#next
    this.#next = undefined
    if (checkpoint === undefined || this.#deps.ended.aborted) return
    const { step, path } = checkpoint
    try {
      if (step <= this.#uploadedStep) return
      const bytes = await this.#deps.upload(path)
      this.#uploadedStep = step
      this.#deps.onUploaded(step, bytes)
    } catch (error) {
      if (!this.#deps.ended.aborted)
        this.#deps.log.warn({ err: error, step }, 'the checkpoint was not uploaded')
    } finally {
      this.#remove(path)
    }
  }

  #remove(path: string): void {
    try {
      rmSync(path, { force: true })
    } catch (error) {
      // It goes with the attempt's folder.
      this.#deps.log.warn({ err: error }, 'a checkpoint file cannot be removed')
    }
  }
}
