import type { Database } from '../db/database.ts'
import type { Head } from './choose.ts'
import { type FleetState, HEAD_COLUMNS, type HeadRow, headOf, lineOf, type Pool } from './snapshot.ts'

const SHAPE_COLUMNS = 's.capability, s.service_tier, s.width, s.height, s.num_frames, s.video_tokens'
const IN_SHAPE = `v.status = 'queued' and v.capability = s.capability and v.service_tier = s.service_tier
        and v.width = s.width and v.height = s.height and v.num_frames = s.num_frames`

/**
 * Relation `line`: each line in which something waits, with the id at its head. Jumps along the index from shape to shape
 * and from key to key, so it costs by the number of lines, not by the backlog, and passes over a shape that a pool
 * cannot make as a whole. $1 = capabilities; `fits` judges a shape s.
 */
function linesSql(fits: string): string {
  return `with recursive shape as (
      select ${SHAPE_COLUMNS} from unnest($1::text[]) c(capability), unnest(array['priority', 'standard', 'flex']) t(tier),
        lateral (select * from video v where v.status = 'queued' and v.capability = c.capability and v.service_tier = t.tier
          order by v.width, v.height, v.num_frames limit 1) s
      union all
      select ${SHAPE_COLUMNS} from shape p,
        lateral (select * from video v where v.status = 'queued' and v.capability = p.capability and v.service_tier = p.service_tier
          and (v.width, v.height, v.num_frames) > (p.width, p.height, p.num_frames)
          order by v.width, v.height, v.num_frames limit 1) s),
    line as (
      select ${SHAPE_COLUMNS}, h.key_id, h.id from shape s,
        lateral (select v.key_id, v.id from video v where ${IN_SHAPE} order by v.key_id, v.id limit 1) h where ${fits}
      union all
      select ${SHAPE_COLUMNS}, h.key_id, h.id from line s,
        lateral (select v.key_id, v.id from video v where ${IN_SHAPE} and v.key_id > s.key_id
          order by v.key_id, v.id limit 1) h)`
}

/** Reading all lines may take up this share of the leader's time; while many accounts wait they are read less often. */
const READING_SHARE = 0.05
const STALE_MS_MAX = 1_000

interface KnownLines {
  rows: Map<string, HeadRow>
  readAtMs: number
  readTookMs: number
}

/**
 * The heads of the lines a pool could serve, as the gate's leader knows them. With few lines they are read anew for each
 * pass; with thousands the last reading is kept for up to a second, in which only the lines that were served are looked at.
 * A head that is gone by then is found out by its dispatch; a video that came back to its line is seen at the next reading.
 */
export class Lines {
  readonly #pools = new Map<string, KnownLines>()

  /** The heads, and whether they are from an earlier reading. */
  async heads(
    db: Database,
    fleet: FleetState,
    pool: Pool,
    options: { anew: boolean },
  ): Promise<{ heads: Head[]; isKept: boolean }> {
    const kept = this.#pools.get(pool.pool)
    const isKept = kept !== undefined && !options.anew && !isStale(kept)
    const known = isKept ? kept : await this.#read(db, pool)
    return { heads: [...known.rows.values()].map((row) => headOf(row, pool, fleet.paces)), isKept }
  }

  /** The one behind a head that was served or is gone, or null when its line is empty. */
  async successor(db: Database, fleet: FleetState, pool: Pool, head: Head): Promise<Head | null> {
    const lines = this.#pools.get(pool.pool)
    const row = lines?.rows.get(head.line)
    if (lines === undefined || row === undefined) return null
    const { rows } = await db.query<HeadRow>({
      name: 'gate-successor',
      text: `select ${HEAD_COLUMNS} from video v join account a on a.id = v.account_id join api_key k on k.id = v.key_id
      where v.status = 'queued' and v.capability = $1 and v.service_tier = $2 and v.width = $3 and v.height = $4 and v.num_frames = $5
        and v.key_id = $6 and v.id > $7 and v.execution_expires_at > now() order by v.id limit 1`,
      values: [row.capability, row.service_tier, row.width, row.height, row.num_frames, row.key_id, row.id],
    })
    const next = rows[0]
    if (next === undefined) {
      lines.rows.delete(head.line)
      return null
    }
    lines.rows.set(head.line, next)
    return headOf(next, pool, fleet.paces)
  }

  async #read(db: Database, pool: Pool): Promise<KnownLines> {
    const startedAtMs = performance.now()
    const { rows } = await db.query<HeadRow>({
      name: 'gate-heads',
      text: `${linesSql('s.num_frames <= $2 and s.width * s.height <= $3 and (512 + s.video_tokens) % $4 = 0')}
      select ${HEAD_COLUMNS} from line l join api_key k on k.id = l.key_id join account a on a.id = k.account_id
      cross join lateral (select * from video q where q.id = l.id) v`,
      values: [pool.capabilities, pool.framesMax, pool.pixelsMax, pool.sequenceDevices],
    })
    const readAtMs = performance.now()
    const known = {
      rows: new Map(rows.map((row) => [lineOf(row), row])),
      readAtMs,
      readTookMs: readAtMs - startedAtMs,
    }
    this.#pools.set(pool.pool, known)
    return known
  }
}

function isStale(lines: KnownLines): boolean {
  return performance.now() - lines.readAtMs > Math.min(lines.readTookMs / READING_SHARE, STALE_MS_MAX)
}

/** The first videos of every line of these capabilities, about `atMost` in all and evenly over the lines. */
export async function readHeads(
  db: Database,
  capabilities: readonly string[],
  atMost: number,
): Promise<{ rows: HeadRow[]; perLine: number }> {
  const { rows } = await db.query<HeadRow & { per_line: number }>({
    name: 'forecast-fronts',
    text: `${linesSql('true')},
    share as (select greatest(1, $2::int / greatest(1, count(*)))::int as per_line from line)
    select ${HEAD_COLUMNS}, share.per_line from line l cross join share join api_key k on k.id = l.key_id join account a on a.id = k.account_id
    cross join lateral (select * from video q where q.status = 'queued' and q.capability = l.capability and q.service_tier = l.service_tier
      and q.width = l.width and q.height = l.height and q.num_frames = l.num_frames and q.key_id = l.key_id
      order by q.id limit share.per_line) v limit $2`,
    values: [capabilities, atMost],
  })
  return { rows, perLine: rows[0]?.per_line ?? atMost }
}
