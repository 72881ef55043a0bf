import { tierOf } from '@sluice/gate/choose'
import { takesNow } from '@sluice/gate/delivery'
import { type Fleet, occupantsOf, type Pool, slotsFreeInMs } from '@sluice/gate/fleet'
import { type HeadRow, headOf } from '@sluice/gate/head-row'
import type { Lines } from '@sluice/gate/lines'
import { unoccupiedSlots } from '@sluice/gate/loaded-slots'
import { fitsPool } from '@sluice/gate/pool-fits'
import { Elsewhere, type OtherPool } from '@sluice/gate/route'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { QueueHeads } from './queue-heads.ts'

const CANNOT_MS = Number.POSITIVE_INFINITY

interface SurroundingsParts {
  fleet: Fleet
  queueHeads: QueueHeads
  /** Queues that have been given all they may have in this pass: what is still free there takes nobody. */
  filled: ReadonlySet<string>
}

/** What the videos that wait for a pool, in these lines, could wait for elsewhere; null when for nothing. */
export async function readElsewhere(
  parts: SurroundingsParts,
  pool: Pool,
  lines: Lines,
): Promise<Elsewhere | null> {
  const { fleet, queueHeads } = parts
  const rivals = fleet.pools.filter((other) => isRival(pool, other))
  if (rivals.length === 0 || lines.size === 0) return null
  const others: OtherPool[] = []
  for (const [number, other] of rivals.entries()) {
    const { lines: ofOther } = await queueHeads.read(other)
    others.push(otherPool(parts, { number, pool, other, ofOther }))
  }
  return new Elsewhere({
    pool,
    freeInMs: firstFreeInMs(fleet, pool),
    loaded: unoccupiedSlots(pool, occupantsOf(fleet, pool)).models(),
    flexQueued: fleet.flexQueued,
    others,
    costsOf: (head) => {
      const row = lines.of(head)?.row
      return rivals.map((other) => (row === undefined ? CANNOT_MS : costMsOn(fleet, other, row)))
    },
  })
}

/** Predicted milliseconds of a video on the pool; infinite where it cannot make it. */
function costMsOn({ paces }: Fleet, pool: Pool, row: HeadRow): number {
  return fitsPool(pool, row) ? headOf(row, pool, paces).costMs : CANNOT_MS
}

/** Workers of one pool are alike, whatever queue they read. */
function isRival(pool: Pool, other: Pool): boolean {
  return (
    other.pool !== pool.pool &&
    other.untaken === 0 &&
    !other.isPaused &&
    other.capabilities.some((capability) => pool.capabilities.includes(capability))
  )
}

function otherPool(
  { fleet, filled }: SurroundingsParts,
  { number, pool, other, ofOther }: { number: number; pool: Pool; other: Pool; ofOther: Lines },
): OtherPool {
  const { paces } = fleet
  const costOf = (row: HeadRow) => headOf(row, other, paces).costMs
  const slotsFreeInMs = slotsOfNext(fleet, other, !filled.has(other.queue))
  return {
    number,
    pool: other,
    readSlots: (free) => free.set(slotsFreeInMs),
    firstFreeInMs: Math.min(...slotsFreeInMs),
    ownOf: (tier: ServiceTier) => {
      const own = ofOther.all().filter(({ last }) => !fitsPool(pool, last))
      const rows = own.flatMap((line) => line.rows.map(({ row }) => row))
      const inTier = rows.filter((row) => tierOf(headOf(row, other, paces)) === tier)
      const mayBeMore = own.some(({ isWhole, last }) => !isWhole && last.service_tier === tier)
      return mayBeMore ? null : inTier.map(costOf)
    },
  }
}

/** When the slots are free that take the next video that comes. */
function slotsOfNext(fleet: Fleet, pool: Pool, hasRoom: boolean): number[] {
  const freeMs = slotsFreeInMs(fleet, pool)
  const unoccupied = Math.max(0, pool.slots - occupantsOf(fleet, pool).length)
  const given = hasRoom ? Math.min(takesNow(fleet, pool), unoccupied) : 0
  return freeMs.toSpliced(0, unoccupied - given)
}

/** Of a full pool: as if a slot of it were free, which shows whether one should be. */
function firstFreeInMs(fleet: Fleet, pool: Pool): number {
  return pool.slots > occupantsOf(fleet, pool).length ? (slotsFreeInMs(fleet, pool)[0] ?? 0) : 0
}
