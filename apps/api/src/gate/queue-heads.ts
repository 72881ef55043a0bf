import type { Head } from '@sluice/gate/choose'
import type { Pool } from '@sluice/gate/fleet'
import type { HeadRow } from '@sluice/gate/head-row'
import { type KnownRow, type Line, Lines } from '@sluice/gate/lines'
import { fitsPool } from '@sluice/gate/pool-fits'
import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import type { QueuedVideo } from '../context.ts'
import type { Database } from '../db/database.ts'
import type { Video } from '../videos/video.ts'
import { HEAD_COLUMNS } from './head-columns.ts'
import { FITS_POOL_SQL, fitsPoolValues } from './pool-fits-sql.ts'

const SHAPE_COLUMNS = 's.capability, s.service_tier, s.width, s.height, s.num_frames, s.video_tokens'
/** What may be dispatched: queued, and waiting for no time and no price. */
const IS_READY = (video: string) => `${video}.status = 'queued' and ${video}.waits_for is null`
const OF_SHAPE_S = `${IS_READY('v')}
          and v.capability = s.capability and v.service_tier = s.service_tier
          and v.width = s.width and v.height = s.height and v.num_frames = s.num_frames`

/**
 * Relations `shape` and `head`: every shape and tier in which videos of capabilities $1 wait, and of each the
 * first video of every key. Jumps along index video_ready_by_shape_and_key, from shape to shape and from key
 * to key, so the cost depends on the number of heads, not on the backlog. A shape for which the SQL
 * expression `fits` is false is passed over as a whole.
 */
function headsSql(fits: string): string {
  return `with recursive shape as (
      -- the first shape of each capability and tier
      select ${SHAPE_COLUMNS}
      from unnest($1::text[]) c(capability),
        unnest(array['priority', 'standard', 'flex']) t(tier),
        lateral (
          select * from video v
          where ${IS_READY('v')} and v.capability = c.capability and v.service_tier = t.tier
          order by v.width, v.height, v.num_frames limit 1) s
      union all
      -- and from each shape the next one
      select ${SHAPE_COLUMNS}
      from shape p,
        lateral (
          select * from video v
          where ${IS_READY('v')} and v.capability = p.capability and v.service_tier = p.service_tier
            and (v.width, v.height, v.num_frames) > (p.width, p.height, p.num_frames)
          order by v.width, v.height, v.num_frames limit 1) s),
    head as (
      -- the first key of each shape
      select ${SHAPE_COLUMNS}, h.key_id, h.id
      from shape s,
        lateral (
          select v.key_id, v.id from video v
          where ${OF_SHAPE_S}
          order by v.key_id, v.id limit 1) h
      where ${fits}
      union all
      -- and from each key the next one
      select ${SHAPE_COLUMNS}, h.key_id, h.id
      from head s,
        lateral (
          select v.key_id, v.id from video v
          where ${OF_SHAPE_S} and v.key_id > s.key_id
          order by v.key_id, v.id limit 1) h)`
}

const POOL_HEADS_SQL = `${headsSql(FITS_POOL_SQL)}
    select ${HEAD_COLUMNS}
    from head h
    join api_key k on k.id = h.key_id
    join account a on a.id = k.account_id
    cross join lateral (select * from video q where q.id = h.id) v`

/** Of each line of $1 to $6 the first $8 videos behind the one with id $7. */
const BEHIND_SQL = `select ${HEAD_COLUMNS}
    from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[])
      l(capability, service_tier, width, height, num_frames, key_id, id)
    join api_key k on k.id = l.key_id
    join account a on a.id = k.account_id
    cross join lateral (
      select * from video q
      where ${IS_READY('q')} and q.capability = l.capability and q.service_tier = l.service_tier
        and q.width = l.width and q.height = l.height and q.num_frames = l.num_frames
        and q.key_id = l.key_id and q.id > l.id and q.execution_expires_at > now()
      order by q.id limit $8) v
    order by v.id`

const HEAD_ROWS_SQL = `select ${HEAD_COLUMNS}
    from video v
    join api_key k on k.id = v.key_id
    join account a on a.id = k.account_id
    where v.id = any ($1::text[])`

const QUEUED_SQL = `${HEAD_ROWS_SQL} and ${IS_READY('v')}`

const IN_FLIGHT_SQL = `${HEAD_ROWS_SQL} and v.status in ('dispatched', 'running')`

/** Several videos of each queue and not its head alone; `per_queue` = how many. */
const FIRST_OF_QUEUES_SQL = `${headsSql('true')},
    share as (select greatest(1, $2::int / greatest(1, count(*)))::int as per_queue from head)
    select ${HEAD_COLUMNS}, share.per_queue
    from head h
    cross join share
    join api_key k on k.id = h.key_id
    join account a on a.id = k.account_id
    cross join lateral (
      select * from video q
      where ${IS_READY('q')} and q.capability = h.capability and q.service_tier = h.service_tier
        and q.width = h.width and q.height = h.height and q.num_frames = h.num_frames and q.key_id = h.key_id
      order by q.id limit share.per_queue) v
    limit $2`

/** However long it took to read them, and however little happened, heads are kept no longer. */
const KEPT_MS_MAX = 500
/** Videos read ahead of a line that was served: few, since the next reading of everything forgets them. */
const AHEAD_MIN = 4

/** What the leader knows of the queues that one pool could serve. */
interface PoolLines {
  cache: SnapshotCache<Lines>
  /** As they were read last; undefined before that. */
  lines: Lines | undefined
  /** Something may have changed since they were read that nobody told. */
  isDoubted: boolean
}

/**
 * The queued videos that are next on each pool, as the gate's leader knows them. What it is told of (a video
 * that was queued, one that it dispatched) is kept up to date; everything is read again when something else
 * may have changed, at the latest after half a second. With thousands of lines that reading is kept for a
 * while all the same, so that it takes at most 5 % of the time: a head that has left its queue by then is
 * found out by its dispatch.
 */
export class QueueHeads {
  readonly #db: Database
  readonly #pools = new Map<string, PoolLines>()

  constructor(db: Database) {
    this.#db = db
  }

  /** Anything may have changed. */
  doubt(): void {
    for (const known of this.#pools.values()) known.isDoubted = true
  }

  /** Adds videos that were queued to what is kept of these pools; reads those of which nothing was told. */
  async hear(queued: readonly QueuedVideo[], pools: readonly Pool[]): Promise<void> {
    const kept = pools.filter(({ queue }) => isKept(this.#pools.get(queue)))
    if (queued.length === 0 || kept.length === 0) return
    const told = queued.flatMap(({ known }) => known ?? [])
    const untold = queued.flatMap(({ id, known }) => (known === null ? id : []))
    const read = untold.length === 0 ? [] : await this.#query('gate-queued', QUEUED_SQL, [untold])
    for (const pool of kept) {
      const lines = this.#pools.get(pool.queue)?.lines
      for (const known of [...told, ...read]) if (fitsPool(pool, known.row)) lines?.add(known)
    }
  }

  /**
   * The pool's lines. `areDoubted`: they were kept from an earlier reading, since when something may have
   * changed that nobody told.
   */
  async read(pool: Pool): Promise<{ lines: Lines; areDoubted: boolean }> {
    const known = this.#pools.get(pool.queue)
    if (known?.lines === undefined || !isKept(known))
      return { lines: await this.readAnew(pool), areDoubted: false }
    return { lines: known.lines, areDoubted: known.isDoubted }
  }

  /** The pool's lines, read now. */
  async readAnew(pool: Pool): Promise<Lines> {
    const known = this.#pools.get(pool.queue) ?? {
      cache: new SnapshotCache<Lines>({ keptMsMin: 0, keptMsMax: KEPT_MS_MAX }),
      lines: undefined,
      isDoubted: false,
    }
    this.#pools.set(pool.queue, known)
    known.isDoubted = false
    known.lines = await known.cache.readAnew(() => this.#readNow(pool))
    return known.lines
  }

  /** Reads on in these lines of the pool, for about `videos` more in all. */
  async readAhead(lines: Lines, short: readonly Line[], videos: number): Promise<void> {
    if (short.length === 0) return
    const perLine = Math.max(AHEAD_MIN, Math.ceil((2 * videos) / short.length))
    const column = <Key extends keyof HeadRow>(key: Key) => short.map(({ last }) => last[key])
    const rows = await this.#query('gate-behind', BEHIND_SQL, [
      column('capability'),
      column('service_tier'),
      column('width'),
      column('height'),
      column('num_frames'),
      column('key_id'),
      column('id'),
      perLine,
    ])
    lines.append(short, rows, perLine)
  }

  /** Takes out videos that were dispatched, or are no longer queued. */
  remove(videos: ReadonlyMap<string, Pick<Head, 'queueKey'>>): void {
    const queueKeys = [...videos.values()].map(({ queueKey }) => queueKey)
    for (const { lines } of this.#pools.values()) lines?.remove(videos, queueKeys)
  }

  async #readNow(pool: Pool): Promise<Lines> {
    return new Lines(await this.#query('gate-heads', POOL_HEADS_SQL, fitsPoolValues(pool)))
  }

  async #query(name: string, text: string, values: unknown[]): Promise<KnownRow[]> {
    const { rows } = await this.#db.query<HeadRow>({ name, text, values })
    const readAtMs = performance.now()
    return rows.map((row) => ({ row, readAtMs }))
  }
}

function isKept(known: PoolLines | undefined): boolean {
  if (known === undefined) return false
  return known.isDoubted ? known.cache.isFresh() : known.cache.isFresh(KEPT_MS_MAX)
}

/** A video that has not ended, also one that waits for its time or its price; null when it has. */
export async function readLiving(
  db: Database,
  videoId: string,
): Promise<(HeadRow & Pick<Video, 'status' | 'pool'>) | null> {
  const { rows } = await db.query<HeadRow & Pick<Video, 'status' | 'pool'>>({
    name: 'forecast-queued',
    text: `select ${HEAD_COLUMNS}, v.status, v.pool
      from video v
      join api_key k on k.id = v.key_id
      join account a on a.id = k.account_id
      where v.id = $1 and v.ended_at is null`,
    values: [videoId],
  })
  return rows[0] ?? null
}

/**
 * The first videos of every queue of these capabilities: about `videosMax` in all, and the same number of
 * each queue.
 */
export async function readFirstOfQueues(
  db: Database,
  capabilities: readonly string[],
  videosMax: number,
): Promise<{ rows: HeadRow[]; perQueue: number }> {
  const { rows } = await db.query<HeadRow & { per_queue: number }>({
    name: 'forecast-heads',
    text: FIRST_OF_QUEUES_SQL,
    values: [capabilities, videosMax],
  })
  return { rows, perQueue: rows[0]?.per_queue ?? videosMax }
}

/** Reads what the gate would know of these videos were they queued again, as far as they are in flight. */
export async function readInFlight(db: Database, videoIds: readonly string[]): Promise<HeadRow[]> {
  if (videoIds.length === 0) return []
  const { rows } = await db.query<HeadRow>({
    name: 'forecast-in-flight',
    text: IN_FLIGHT_SQL,
    values: [videoIds],
  })
  return rows
}
