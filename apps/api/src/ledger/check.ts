import { pause } from '@sluice/shared/pause'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { type Database, type DatabasePool, one, transaction } from '../db/database.ts'
import { checkCreditsOf } from './check-credits.ts'
import {
  ENTRIES_SQL,
  HOUR_SQL,
  MONEY_SQL,
  NEXT_CREDITED_SQL,
  NEXT_HOUR_SQL,
  PAYMENTS_SQL,
  SPANS_SQL,
  STATEMENTS_SQL,
  TRANSFERS_AFTER_SQL,
  TRANSFERS_BY_ID_SQL,
  UNENDED_SQL,
  VIDEOS_AFTER_SQL,
  VIDEOS_BY_ID_SQL,
  VIDEOS_ENDED_AFTER_SQL,
} from './check-sql.ts'
import { type EntrySums, lastSettledEntry, NOTHING_PROVEN, readProof, storeProof } from './proof-store.ts'

/** From where a check begins: at what was proven last, or at the first transfer ever. */
export const CHECK_BEGINNINGS = ['proven', 'beginning'] as const
export type CheckBeginning = (typeof CHECK_BEGINNINGS)[number]

export interface LedgerCheck {
  ok: boolean
  /** When what it began at was proven; null: it began at the first transfer ever. */
  provenAt: Date | null
  /** Transfers and entries that were looked at. */
  transfers: bigint
  entries: bigint
  /** Each invariant by name with the number of rows that break it; all zero when `ok`. */
  violations: Record<string, bigint>
}

/** A page is read within tens of milliseconds. */
const PAGE = 5_000
/** Older hours are over: no transaction that ends a video is open for as long. */
const HOUR_IS_OVER_MS = 15 * 60_000
/** The end of a video is dated by the beginning of its transaction, which its first lock follows at once. */
const OVERLAP_MS = 60_000

/** What a check has counted so far. */
class Tally {
  readonly violations = new Map<string, bigint>()
  readonly sums: EntrySums = new Map()
  transfers = 0n
  entries = 0n

  /** Adds the counts of violations among a row's columns, which are named by the invariant. */
  add(row: Record<string, unknown>): void {
    for (const [name, count] of Object.entries(row)) {
      if (typeof count !== 'bigint' || name === 'count' || name === 'entries') continue
      this.violations.set(name, (this.violations.get(name) ?? 0n) + count)
    }
  }

  addSums(rows: readonly [string, string, string, string][]): void {
    for (const [account, amount, paid, granted] of rows) {
      const sum = this.sums.get(BigInt(account)) ?? { amount: 0n, paid: 0n, granted: 0n }
      sum.amount += BigInt(amount)
      sum.paid += BigInt(paid)
      sum.granted += BigInt(granted)
      this.sums.set(BigInt(account), sum)
    }
  }

  get isClean(): boolean {
    return [...this.violations.values()].every((count) => count === 0n)
  }
}

/**
 * Recomputes the invariants of the ledger. It reads page by page, each in a short transaction of its own, and
 * rests as long as it read, so that submissions and settlements hardly notice. From what was proven last it
 * looks at what was added since, and at everybody's balance; from the beginning at everything. What it finds
 * in order is proven for the next check; once something is broken, that begins at the beginning.
 */
export async function checkLedger(
  pool: DatabasePool,
  { since = 'beginning', page = PAGE }: { since?: CheckBeginning; page?: number } = {},
): Promise<LedgerCheck> {
  const before = since === 'proven' ? await readProof(pool) : NOTHING_PROVEN
  const newest = await lastSettledEntry(pool)
  const walk: Walk = { pool, tally: new Tally(), page, isWhole: before.provenAt === null }
  const { tally } = walk
  await checkEntries(walk, before.entryId, newest.entryId)
  if (before.provenAt === null) {
    await checkAllTransfers(walk)
    await checkAllVideos(walk)
    await checkHours(walk)
    await checkCredits(walk)
    await checkAtOnce(walk, UNENDED_SQL)
    await checkAtOnce(walk, SPANS_SQL)
    await checkAtOnce(walk, PAYMENTS_SQL)
    await checkAtOnce(walk, STATEMENTS_SQL)
  } else await checkEnded(walk, new Date(before.provenAt.getTime() - OVERLAP_MS))
  if (newest.isSettled) {
    const proof = { entryId: newest.entryId, provenAt: tally.isClean ? newest.readAt : null }
    await storeProof(pool, before, proof, tally.sums)
  }
  await checkMoney(walk)
  return {
    ok: tally.isClean,
    provenAt: before.provenAt,
    transfers: tally.transfers,
    entries: tally.entries,
    violations: Object.fromEntries(tally.violations),
  }
}

/** Runs `work` and rests as long as it took. */
async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  const startedMs = performance.now()
  const result = await work()
  await pause(performance.now() - startedMs)
  return result
}

/** One run of a check. */
interface Walk {
  pool: DatabasePool
  tally: Tally
  /** Rows of a page. */
  page: number
  /** It looks at everything, not only at what was added. */
  isWhole: boolean
}

/** One statement that may take longer than a call's. */
async function checkAtOnce({ pool, tally }: Walk, text: string, values: unknown[] = []): Promise<void> {
  const check = async (db: Database) => tally.add(one(await db.query({ text, values })))
  await inTurn(() => transaction(pool, check, { limitMs: TIME_LIMITS.database.sumMs }))
}

/** Statements that see one snapshot, and may each take longer than a call's. */
const SUMMED = { isolation: 'repeatable read', limitMs: TIME_LIMITS.database.sumMs } as const

/** In one snapshot, so that no other check proves more between the two statements. */
async function checkMoney({ pool, tally }: Walk): Promise<void> {
  const check = async (db: Database) => {
    const { last } = one(
      await db.query<{ last: bigint }>({ text: 'select entry_id as last from ledger_proof' }),
    )
    tally.add(one(await db.query({ text: MONEY_SQL, values: [last] })))
  }
  await inTurn(() => transaction(pool, check, SUMMED))
}

interface EntriesRow extends Record<string, unknown> {
  entries: bigint
  transferIds: string[]
  sums: [string, string, string, string][]
}

async function checkEntries(walk: Walk, after: bigint, last: bigint): Promise<void> {
  const { pool, tally, page, isWhole } = walk
  for (let from = after; from < last; from += BigInt(page)) {
    const to = from + BigInt(page) < last ? from + BigInt(page) : last
    await inTurn(async () => {
      const row = one(await pool.query<EntriesRow>({ text: ENTRIES_SQL, values: [from, to] }))
      tally.add(row)
      tally.addSums(row.sums)
      tally.entries += row.entries
      if (isWhole) return
      const { unendedIds } = await checkTransfers(walk, TRANSFERS_BY_ID_SQL, [row.transferIds])
      await checkVideos(walk, VIDEOS_BY_ID_SQL, [unendedIds])
    })
  }
}

interface PageRow extends Record<string, unknown> {
  count: bigint
  last: string | null
}

async function checkTransfers({ pool, tally }: Walk, text: string, values: unknown[]) {
  const row = one(await pool.query<PageRow & { unendedIds: string[] }>({ text, values }))
  tally.transfers += row.count
  tally.add(row)
  return row
}

async function checkVideos({ pool, tally }: Walk, text: string, values: unknown[]) {
  const row = one(await pool.query<PageRow & { lastEnded: [string, string] | null }>({ text, values }))
  tally.add(row)
  return row
}

async function checkAllTransfers(walk: Walk): Promise<void> {
  for (let after: string | null = ''; after !== null; ) {
    const values: unknown[] = [after, walk.page]
    after = (await inTurn(() => checkTransfers(walk, TRANSFERS_AFTER_SQL, values))).last
  }
}

async function checkAllVideos(walk: Walk): Promise<void> {
  for (let after: string | null = ''; after !== null; ) {
    const values: unknown[] = [after, walk.page]
    after = (await inTurn(() => checkVideos(walk, VIDEOS_AFTER_SQL, values))).last
  }
}

async function checkEnded(walk: Walk, since: Date): Promise<void> {
  let values: unknown[] = [since, '', walk.page]
  for (;;) {
    const { lastEnded } = await inTurn(() => checkVideos(walk, VIDEOS_ENDED_AFTER_SQL, values))
    if (lastEnded === null) return
    const [id, endedAt] = lastEnded
    values = [endedAt, id, walk.page]
  }
}

async function checkHours(walk: Walk): Promise<void> {
  const read = async (text: string, values: unknown[]) =>
    one(await walk.pool.query<{ at: string | null }>({ text, values })).at
  const until = await read(
    `select date_trunc('hour', now() - $1::int * interval '1 millisecond', 'UTC')::text as at`,
    [HOUR_IS_OVER_MS],
  )
  let hour = await read(NEXT_HOUR_SQL, ['-infinity', until])
  while (hour !== null) {
    await checkAtOnce(walk, HOUR_SQL, [hour])
    const next = await read(`select ($1::timestamptz + interval '1 hour')::text as at`, [hour])
    hour = await read(NEXT_HOUR_SQL, [next, until])
  }
}

async function checkCredits({ pool, tally, page }: Walk): Promise<void> {
  for (let after = ''; ; ) {
    const { next } = one(
      await pool.query<{ next: string | null }>({ text: NEXT_CREDITED_SQL, values: [after] }),
    )
    if (next === null) return
    const check = async (db: Database) => tally.add(await checkCreditsOf(db, next, page))
    await inTurn(() => transaction(pool, check, SUMMED))
    after = next
  }
}
