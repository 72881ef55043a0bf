import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { messageOf } from './error-message.ts'
import { Outage } from './outage.ts'
import { Backoff } from './retrying.ts'

export interface HostHealthDeps {
  /** Where attempts have their files. */
  workDir: string
  /** Called when it begins to be unwell, and when it is well again. */
  onChange(): void
  log: Logger
}

/** The size of a short clip: a few kilobytes may have room where no video has. */
const PROBE_BYTES = 1024 * 1024
const PROBE_FIRST_MS = 500
const PROBE_MS_MAX = 10_000

/**
 * Whether the host lets a video be made. After a failure that is the host's own it is unwell until a probe
 * can be written to the work folder. The waits before the probes grow until a video succeeds, since a probe
 * may find room that a video does not.
 */
export class HostHealth {
  readonly #deps: HostHealthDeps
  readonly #unwell: Outage
  readonly #backoff = new Backoff(PROBE_FIRST_MS, PROBE_MS_MAX)
  readonly #stopped = new AbortController()

  constructor(deps: HostHealthDeps) {
    this.#deps = deps
    this.#unwell = new Outage(deps.log, {
      away: 'this host keeps videos from being made, so this worker offers no slot',
      back: 'the work folder can be written again: this worker offers its slots',
      about: { folder: deps.workDir },
    })
  }

  get isWell(): boolean {
    return !this.#unwell.isAway
  }

  /** An attempt failed by the host's fault. */
  failed(reason: string): void {
    if (!this.isWell || this.#stopped.signal.aborted) return
    this.#unwell.begin(reason)
    this.#deps.onChange()
    // `recover` never rejects.
    // oxlint-disable-next-line typescript/no-floating-promises -- as said
    void this.#recover()
  }

  /** A video was made. */
  succeeded(): void {
    this.#backoff.reset()
  }

  stop(): void {
    this.#stopped.abort()
  }

  async #recover(): Promise<void> {
    const { signal } = this.#stopped
    do {
      await this.#backoff.wait(signal)
      if (signal.aborted) return
    } while (!(await this.#probe()))
    this.#unwell.end()
    this.#deps.onChange()
  }

  /** Never rejects. A disk that hangs keeps it from resolving, which is right: it is unwell. */
  async #probe(): Promise<boolean> {
    const path = join(this.#deps.workDir, 'probe')
    try {
      await writeProbe(path)
      return true
    } catch (error) {
      this.#deps.log.debug({ reason: messageOf(error) }, 'the work folder cannot be written yet')
      return false
    } finally {
      await rm(path, { force: true }).catch(() => {})
    }
  }
}

/** Throws what the disk says. */
async function writeProbe(path: string): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(Buffer.alloc(PROBE_BYTES))
    await file.sync()
  } finally {
    await file.close()
  }
  await rm(path)
}
