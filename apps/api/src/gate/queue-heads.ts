import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import type { Database } from '../db/database.ts'
import type { Head } from './choose.ts'
import type { Fleet, Pool } from './fleet.ts'
import { HEAD_COLUMNS, type HeadRow, headOf, queueKeyOf } from './head-row.ts'
import { FITS_POOL_SQL, fitsPoolValues } from './pool-fits.ts'

const SHAPE_COLUMNS = 's.capability, s.service_tier, s.width, s.height, s.num_frames, s.video_tokens'
const OF_SHAPE_S = `v.status = 'queued'
          and v.capability = s.capability and v.service_tier = s.service_tier
          and v.width = s.width and v.height = s.height and v.num_frames = s.num_frames`

/**
 * Relations `shape` and `head`: every shape and tier in which videos of capabilities $1 wait, and of each the
 * first video of every key. Jumps along index video_queued_by_shape_and_key, from shape to shape and from key
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
          where v.status = 'queued' and v.capability = c.capability and v.service_tier = t.tier
          order by v.width, v.height, v.num_frames limit 1) s
      union all
      -- and from each shape the next one
      select ${SHAPE_COLUMNS}
      from shape p,
        lateral (
          select * from video v
          where v.status = 'queued' and v.capability = p.capability and v.service_tier = p.service_tier
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

const SUCCESSOR_SQL = `select ${HEAD_COLUMNS}
    from video v
    join account a on a.id = v.account_id
    join api_key k on k.id = v.key_id
    where v.status = 'queued' and v.capability = $1 and v.service_tier = $2
      and v.width = $3 and v.height = $4 and v.num_frames = $5
      and v.key_id = $6 and v.id > $7 and v.execution_expires_at > now()
    order by v.id limit 1`

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
      where q.status = 'queued' and q.capability = h.capability and q.service_tier = h.service_tier
        and q.width = h.width and q.height = h.height and q.num_frames = h.num_frames and q.key_id = h.key_id
      order by q.id limit share.per_queue) v
    limit $2`

/** The heads of one pool by queue key. */
type KnownHeads = Map<string, HeadRow>

/** However long it took to read them, heads are kept no longer. */
const KEPT_MS_MAX = 1_000

/**
 * The heads of the queues a pool could serve, as the gate's leader knows them. Few heads are read anew for
 * each pass; thousands are kept for up to a second, during which only the queues that were served are read. A
 * head that has left its queue by then is found out by its dispatch; a video that came back to its queue is
 * seen at the next reading.
 */
export class QueueHeads {
  readonly #db: Database
  readonly #pools = new Map<string, SnapshotCache<KnownHeads>>()

  constructor(db: Database) {
    this.#db = db
  }

  /** The pool's heads, and whether they were kept from an earlier reading. */
  async read(fleet: Fleet, pool: Pool): Promise<{ heads: Head[]; areKept: boolean }> {
    const cache = this.#cacheOf(pool)
    const areKept = cache.isFresh()
    const known = await cache.get(() => this.#readNow(pool))
    return { heads: headsOf(known, fleet, pool), areKept }
  }

  /** The pool's heads, read now. */
  async readAnew(fleet: Fleet, pool: Pool): Promise<Head[]> {
    return headsOf(await this.#cacheOf(pool).readAnew(() => this.#readNow(pool)), fleet, pool)
  }

  /** The next head after one that was served or is gone; null when its queue is empty. */
  async successor(fleet: Fleet, pool: Pool, head: Head): Promise<Head | null> {
    const known = await this.#pools.get(pool.queue)?.latest
    const row = known?.get(head.queueKey)
    if (known === undefined || row === undefined) return null
    const { rows } = await this.#db.query<HeadRow>({
      name: 'gate-successor',
      text: SUCCESSOR_SQL,
      values: [row.capability, row.service_tier, row.width, row.height, row.num_frames, row.key_id, row.id],
    })
    const next = rows[0]
    if (next === undefined) {
      known.delete(head.queueKey)
      return null
    }
    known.set(head.queueKey, next)
    return headOf(next, pool, fleet.paces)
  }

  async #readNow(pool: Pool): Promise<KnownHeads> {
    const { rows } = await this.#db.query<HeadRow>({
      name: 'gate-heads',
      text: POOL_HEADS_SQL,
      values: fitsPoolValues(pool),
    })
    return new Map(rows.map((row) => [queueKeyOf(row), row]))
  }

  #cacheOf(pool: Pool): SnapshotCache<KnownHeads> {
    const cache = this.#pools.get(pool.queue) ?? new SnapshotCache({ keptMsMin: 0, keptMsMax: KEPT_MS_MAX })
    this.#pools.set(pool.queue, cache)
    return cache
  }
}

function headsOf(known: KnownHeads, fleet: Fleet, pool: Pool): Head[] {
  return [...known.values()].map((row) => headOf(row, pool, fleet.paces))
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
