import { setImmediate } from 'node:timers/promises'
import { pause } from '@sluice/shared/pause'
import type { Bounds } from '../config/bounds.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { readGoodKeys } from '../keys/key-store.ts'
import { CHANGING_COLUMNS, type Video } from '../videos/video.ts'
import type { Forecast } from './forecast.ts'
import type { Forecaster } from './forecaster.ts'

type StreamBounds = Pick<Bounds, 'streams' | 'streamsOfAccount' | 'streamsOfVideo'>

/** A video as it stands now. */
export interface Sighting {
  video: Video
  forecast: Forecast | null
}

/** Somebody who follows one video. Neither call may throw or wait. */
export interface Watcher {
  /** The key that it came with: what it sees ends when the key does. */
  readonly keyId: string
  /** Something may have changed since the last sighting. */
  see(sighting: Sighting): void
  /** This process stops, or the key is no longer good. */
  close(): void
}

interface Watched {
  video: Video
  /** PostgreSQL's own version of the row, xmin; empty before the first reading. */
  version: string
  forecastKey: string
  watchers: Set<Watcher>
}

type ChangedRow = Pick<Video, 'id' | (typeof CHANGING_COLUMNS)[number]> & { row_version: string }

/** Videos read and shown at a time: some milliseconds of this process. */
const READ_AT_ONCE = 100

/**
 * Follows videos for everybody who watches them through this process. The database is read once for all of
 * them together, and not at all while nobody watches. A change is seen whichever process made it.
 */
export class VideoWatch {
  readonly #db: Database
  readonly #forecaster: Pick<Forecaster, 'of'>
  readonly #everyMs: number
  readonly #bounds: StreamBounds
  readonly #onError: (error: Error) => void
  readonly #watched = new Map<string, Watched>()
  readonly #stopping = new AbortController()
  #watcherCount = 0
  readonly #ofAccount = new Map<string, number>()
  #reading: Promise<void> | undefined

  constructor(parts: {
    db: Database
    forecaster: Pick<Forecaster, 'of'>
    everyMs: number
    bounds: StreamBounds
    onError: (error: Error) => void
  }) {
    this.#db = parts.db
    this.#forecaster = parts.forecaster
    this.#everyMs = parts.everyMs
    this.#bounds = parts.bounds
    this.#onError = parts.onError
  }

  /**
   * Shows the watcher every change from `video` on. Returns a function that ends it. Throws SluiceError:
   * `too_many_at_once` when the account or the video has as many watchers as it may, `unavailable` when this
   * process has.
   */
  add(video: Video, watcher: Watcher): () => void {
    if (this.#stopping.signal.aborted)
      throw new SluiceError('unavailable', 'This process is stopping. Ask again.')
    this.#requireRoom(video)
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
    this.#ofAccount.set(video.account_id, (this.#ofAccount.get(video.account_id) ?? 0) + 1)
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

  #requireRoom(video: Video): void {
    const { streams, streamsOfAccount, streamsOfVideo } = this.#bounds
    const instead = `Poll GET /v1/videos/${video.id} instead.`
    if ((this.#ofAccount.get(video.account_id) ?? 0) >= streamsOfAccount) {
      throw new SluiceError(
        'too_many_at_once',
        `This account watches ${streamsOfAccount} videos here already. ${instead}`,
      )
    }
    if ((this.#watched.get(video.id)?.watchers.size ?? 0) >= streamsOfVideo) {
      throw new SluiceError(
        'too_many_at_once',
        `This video is watched ${streamsOfVideo} times here already. ${instead}`,
      )
    }
    if (this.#watcherCount >= streams)
      throw new SluiceError('unavailable', `${streams} videos are watched here already. ${instead}`)
  }

  #remove(videoId: string, watched: Watched, watcher: Watcher): void {
    if (!watched.watchers.delete(watcher)) return
    this.#watcherCount -= 1
    const { account_id: accountId } = watched.video
    const left = (this.#ofAccount.get(accountId) ?? 1) - 1
    if (left === 0) this.#ofAccount.delete(accountId)
    else this.#ofAccount.set(accountId, left)
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
    await this.#endByKey()
    const watched = [...this.#watched]
    for (let first = 0; first < watched.length; first += READ_AT_ONCE) {
      await this.#show(watched.slice(first, first + READ_AT_ONCE))
      // Everything else has its turn.
      await setImmediate()
    }
  }

  async #show(all: readonly (readonly [string, Watched])[]): Promise<void> {
    const changed = await this.#readChanged(all)
    for (const [videoId, watched] of all) {
      const row = changed.get(videoId)
      if (row !== undefined) {
        const { row_version: version, ...changes } = row
        watched.video = { ...watched.video, ...changes }
        watched.version = version
      }
      const forecast = await this.#forecaster.of(watched.video)
      const forecastKey = `${forecast?.position} ${forecast?.etaSeconds != null}`
      if (row === undefined && forecastKey === watched.forecastKey) continue
      watched.forecastKey = forecastKey
      for (const watcher of [...watched.watchers]) watcher.see({ video: watched.video, forecast })
    }
  }

  /** Ends the watchers whose key was revoked or has expired. */
  async #endByKey(): Promise<void> {
    const watchers = [...this.#watched.values()].flatMap((watched) => [...watched.watchers])
    const good = await readGoodKeys(this.#db, [...new Set(watchers.map(({ keyId }) => keyId))])
    for (const watcher of watchers) if (!good.has(watcher.keyId)) watcher.close()
  }

  /** Reads what changed of them: every write gives a row another xmin. */
  async #readChanged(all: readonly (readonly [string, Watched])[]): Promise<Map<string, ChangedRow>> {
    const { rows } = await this.#db.query<ChangedRow>({
      name: 'videos-changed',
      text: `select v.id, ${CHANGING_COLUMNS.map((column) => `v.${column}`).join(', ')},
          v.xmin::text as row_version
        from unnest($1::text[], $2::text[]) w (id, version)
        join video v on v.id = w.id
        where v.xmin::text <> w.version`,
      values: [all.map(([videoId]) => videoId), all.map(([, { version }]) => version)],
    })
    return new Map(rows.map((row) => [row.id, row]))
  }
}
