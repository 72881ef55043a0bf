import { pause } from '@sluice/shared/pause'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { Video } from '../videos/video.ts'
import type { Forecaster } from './forecaster.ts'
import type { Forecast } from './simulate.ts'

/** A video as it stands now. */
export interface Sighting {
  video: Video
  forecast: Forecast | null
}

/** Somebody who follows one video. Neither call may throw or wait. */
export interface Watcher {
  /** Something may have changed since the last sighting. */
  see(sighting: Sighting): void
  /** This process stops. */
  close(): void
}

/** Beyond this many the process refuses, instead of serving all of them badly. */
const WATCHERS_MAX = 10_000

interface Watched {
  video: Video
  /** PostgreSQL's own version of the row, xmin; empty before the first reading. */
  version: string
  forecastKey: string
  watchers: Set<Watcher>
}

/**
 * Follows videos for everybody who watches them through this process. The database is read once for all of
 * them together, and not at all while nobody watches. A change is seen whichever process made it.
 */
export class VideoWatch {
  readonly #db: Database
  readonly #forecaster: Pick<Forecaster, 'of'>
  readonly #everyMs: number
  readonly #onError: (error: Error) => void
  readonly #watched = new Map<string, Watched>()
  readonly #stopping = new AbortController()
  #watcherCount = 0
  #reading: Promise<void> | undefined

  constructor(parts: {
    db: Database
    forecaster: Pick<Forecaster, 'of'>
    everyMs: number
    onError: (error: Error) => void
  }) {
    this.#db = parts.db
    this.#forecaster = parts.forecaster
    this.#everyMs = parts.everyMs
    this.#onError = parts.onError
  }

  /**
   * Shows the watcher every change from `video` on. Returns a function that ends it. Throws SluiceError
   * `unavailable` when there are too many watchers.
   */
  add(video: Video, watcher: Watcher): () => void {
    if (this.#stopping.signal.aborted)
      throw new SluiceError('unavailable', 'This process is stopping. Ask again.')
    if (this.#watcherCount >= WATCHERS_MAX) {
      throw new SluiceError(
        'unavailable',
        `${WATCHERS_MAX} videos are watched here already. Poll GET /v1/videos/${video.id} instead.`,
      )
    }
    const watched = this.#watched.get(video.id) ?? {
      video,
      version: '',
      forecastKey: '',
      watchers: new Set(),
    }
    // The newcomer's `video` may be older than what the others have seen: read it again.
    watched.version = ''
    watched.watchers.add(watcher)
    this.#watched.set(video.id, watched)
    this.#watcherCount += 1
    this.#reading ??= this.#readWhileWatched()
    return () => this.#remove(video.id, watched, watcher)
  }

  /** Ends every watcher and waits for the reading under way. */
  async close(): Promise<void> {
    this.#stopping.abort()
    for (const { watchers } of [...this.#watched.values()])
      for (const watcher of [...watchers]) watcher.close()
    await this.#reading
  }

  #remove(videoId: string, watched: Watched, watcher: Watcher): void {
    if (!watched.watchers.delete(watcher)) return
    this.#watcherCount -= 1
    if (watched.watchers.size === 0 && this.#watched.get(videoId) === watched) this.#watched.delete(videoId)
  }

  async #readWhileWatched(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted && this.#watched.size > 0) {
      await this.#readOnce().catch(this.#onError)
      await pause(this.#everyMs, signal)
    }
    this.#reading = undefined
  }

  async #readOnce(): Promise<void> {
    const changed = await this.#readChanged()
    for (const [videoId, watched] of [...this.#watched]) {
      const row = changed.get(videoId)
      const forecast = await this.#forecaster.of(row?.video ?? watched.video)
      if (row !== undefined) {
        watched.video = row.video
        watched.version = row.version
      }
      const forecastKey = `${forecast?.position} ${forecast?.etaSeconds != null}`
      if (row === undefined && forecastKey === watched.forecastKey) continue
      watched.forecastKey = forecastKey
      for (const watcher of [...watched.watchers]) watcher.see({ video: watched.video, forecast })
    }
  }

  /** Reads the rows that changed: every write gives a row another xmin. */
  async #readChanged(): Promise<Map<string, { video: Video; version: string }>> {
    const { rows } = await this.#db.query<Video & { row_version: string }>({
      name: 'videos-changed',
      text: `select v.*, v.xmin::text as row_version
        from unnest($1::text[], $2::text[]) w (id, version)
        join video v on v.id = w.id
        where v.xmin::text <> w.version`,
      values: [[...this.#watched.keys()], [...this.#watched.values()].map(({ version }) => version)],
    })
    return new Map(
      rows.map(({ row_version, ...video }) => [video.id, { video: video as Video, version: row_version }]),
    )
  }
}
