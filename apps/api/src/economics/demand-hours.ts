import { idAt } from '@sluice/shared/ids'
import { type Database, type DatabasePool, one, transaction } from '../db/database.ts'
import { SUM_LIMITS } from './open-facts.ts'

const HOUR_MS = 3_600_000
/** Longer than any transaction that submits a video stays open: by then nothing is added to an hour. */
const SUMMED_AFTER = '15 minutes'
/** Nobody asks for older hours. */
export const DEMAND_DAYS = 28

/** Videos that were asked for alike. */
export interface DemandRow {
  account_id: string
  service_tier: 'priority' | 'standard' | 'flex'
  capability: string
  resolution: string
  width: number
  height: number
  num_frames: number
  num_steps: number
  video_tokens: bigint
  videos: bigint
}

const ALIKE = `account_id, service_tier, capability, resolution, width, height, num_frames, num_steps,
  video_tokens`

/** The submissions from id $1 until just before id $2, by what they ask for. */
const SUBMITTED_SQL = `select ${ALIKE}, count(*) as videos
  from video
  where id >= $1 and id < $2
  group by ${ALIKE}`

/**
 * Sums the next hour that is over and is not summed yet. Several API processes may call it: each hour is
 * summed once, by one of them. Returns whether another may be due.
 */
function sumDemandHour(pool: DatabasePool): Promise<boolean> {
  return transaction(
    pool,
    async (db) => {
      const { rows } = await db.query<{ until: Date; isDue: boolean }>({
        text: `select until,
            until + interval '1 hour' <= now() - interval '${SUMMED_AFTER}' as "isDue"
          from demand_summed
          for no key update skip locked`,
      })
      const [summed] = rows
      if (summed === undefined || !summed.isDue) return false
      await sumHour(db, summed.until)
      return true
    },
    SUM_LIMITS,
  )
}

async function sumHour(db: Database, hour: Date): Promise<void> {
  const next = new Date(hour.getTime() + HOUR_MS)
  await db.query({
    text: `insert into demand_hour (hour, ${ALIKE}, videos)
      select $3, submitted.* from (${SUBMITTED_SQL}) submitted`,
    values: [idAt('video', hour.getTime()), idAt('video', next.getTime()), hour],
  })
  await db.query({
    text: `delete from demand_hour where hour < $1::timestamptz - interval '${DEMAND_DAYS} days'`,
    values: [next],
  })
  await db.query({ text: 'update demand_summed set until = $1', values: [next] })
}

/** Sums hours that are due, for about `forMs` at most. Returns whether another may be due. */
export async function sumDemandFor(pool: DatabasePool, forMs: number): Promise<boolean> {
  const endMs = performance.now() + forMs
  for (;;) {
    const isDue = await sumDemandHour(pool)
    if (!isDue || performance.now() >= endMs) return isDue
  }
}

/** What was asked for in some stretch of time. */
export interface Demand {
  from: Date
  to: Date
  /** Videos of each hour of the UTC day, and for how many hours that hour was looked at. */
  hours: { videos: bigint; lookedAtHours: number }[]
  /** By what they ask for, the most frequent first. */
  rows: DemandRow[]
  /** Videos that ask for something rarer than any of `rows`. */
  otherVideos: bigint
}

/** Kinds of videos in a demand; with more of them a plan says nothing else. */
const ROWS_MAX = 1_000
/** What is not summed yet is read from the videos, if it is no more than this: an hour, and a quarter. */
const UNSUMMED_MAX = '75 minutes'

/**
 * What was asked for from `days` days ago until now, as far as the installation existed: whole hours from
 * their sums, and what came since from the videos themselves. While the sums lag behind, it ends with them.
 */
export async function readDemand(pool: DatabasePool, days: number): Promise<Demand> {
  return transaction(pool, (db) => readIn(db, days), { isolation: 'repeatable read', ...SUM_LIMITS })
}

async function readIn(db: Database, days: number): Promise<Demand> {
  const { from, until, isBehind, now } = one(
    await db.query<{ from: Date; until: Date; isBehind: boolean; now: Date }>({
      text: `select greatest(date_trunc('hour', now() - $1 * interval '1 day', 'UTC'), i.created_at) as from,
        d.until, d.until < now() - interval '${UNSUMMED_MAX}' as "isBehind", now()
      from installation i, demand_summed d`,
      values: [days],
    }),
  )
  const all = `select hour, ${ALIKE}, videos from demand_hour where hour >= $1 and hour < $2
    union all
    select date_trunc('hour', created_at, 'UTC'), ${ALIKE}, count(*) from video
    where id >= $3
    group by 1, ${ALIKE}`
  const values = [
    // The first hour of an installation has no submission from before it.
    new Date(Math.floor(from.getTime() / HOUR_MS) * HOUR_MS),
    until,
    isBehind ? AFTER_ALL_IDS : idAt('video', Math.max(until.getTime(), from.getTime())),
  ]
  const byHour = await db.query<{ hour: number; videos: bigint }>({
    text: `select extract(hour from hour at time zone 'UTC')::int as hour, sum(videos)::bigint as videos
      from (${all}) a group by 1`,
    values,
  })
  const byKind = await db.query<DemandRow>({
    text: `select ${ALIKE}, sum(videos)::bigint as videos
      from (${all}) a group by ${ALIKE}
      order by videos desc, ${ALIKE}
      limit ${ROWS_MAX}`,
    values,
  })
  const to = isBehind ? until : now
  const hours = hoursLookedAt(from.getTime(), to.getTime()).map((lookedAtHours, hour) => ({
    videos: byHour.rows.find((row) => row.hour === hour)?.videos ?? 0n,
    lookedAtHours,
  }))
  return { from, to, hours, rows: byKind.rows, otherVideos: videosOf(hours) - videosOf(byKind.rows) }
}

/** Sorts after every id. */
const AFTER_ALL_IDS = '~'

function videosOf(rows: readonly { videos: bigint }[]): bigint {
  return rows.reduce((total, { videos }) => total + videos, 0n)
}

/** For how many hours each hour of the UTC day lay between two times. Pure. */
export function hoursLookedAt(fromMs: number, toMs: number): number[] {
  const hours = Array.from({ length: 24 }, () => 0)
  for (let atMs = fromMs; atMs < toMs; ) {
    const nextMs = Math.min(toMs, (Math.floor(atMs / HOUR_MS) + 1) * HOUR_MS)
    const hour = Math.floor(atMs / HOUR_MS) % 24
    hours[hour] = (hours[hour] ?? 0) + (nextMs - atMs) / HOUR_MS
    atMs = nextMs
  }
  return hours
}
