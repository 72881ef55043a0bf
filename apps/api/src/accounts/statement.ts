import { type Database, type DatabasePool, transaction } from '../db/database.ts'
import type { TransferKind } from '../ledger/post.ts'

/** Transfers that stand in a statement; what videos hold and are charged is summed by model and tier. */
export type StatementKind = Exclude<TransferKind, 'hold' | 'settle'>

/** All of them, in the order in which they are shown. */
export const STATEMENT_KINDS = [
  'top_up',
  'trial_grant',
  'rebate',
  'reinstatement',
  'refund',
  'reversal',
  'expiry',
] as const satisfies readonly StatementKind[]

/** What transfers of one kind came to in a month. */
export interface Movement {
  kind: StatementKind
  transfers: bigint
  /** By how much they changed what the account has. */
  amountMicros: bigint
}

/** What was charged for videos of one model and tier that ended in a month. */
interface Charge {
  model: string
  tier: string
  videos: bigint
  tokens: bigint
  /** Before rebates, which are movements. */
  chargedMicros: bigint
}

interface StatementLine {
  transferId: string
  kind: StatementKind
  amountMicros: bigint
  createdAt: Date
}

/** An account's money in one month (UTC): opening + movements - charges = closing, to the micro-unit. */
export interface Statement {
  from: Date
  to: Date
  /** Nothing is added to it any more. */
  isFinal: boolean
  openingMicros: bigint
  movements: Movement[]
  charges: Charge[]
  closingMicros: bigint
  /** The transfers that no video moved, oldest first; at most `LINES_MAX`. */
  lines: StatementLine[]
}

/** A page of lines that somebody reads; an account with more has them in its ledger. */
const LINES_MAX = 1_000
/** What was begun in a month is committed by then. */
const FINAL_AFTER_MS = 15 * 60_000

/** The month that begins at `from`, as `2026-11`. */
export function monthName(from: Date): string {
  return from.toISOString().slice(0, 7)
}

/** The UTC month of a name such as `2026-11`; null for any other text. */
export function monthOf(name: string): { from: Date; to: Date } | null {
  const [, year = '', month = ''] = /^(20\d\d)-(0[1-9]|1[0-2])$/.exec(name) ?? []
  if (year === '') return null
  const from = new Date(Date.UTC(Number(year), Number(month) - 1, 1))
  return { from, to: new Date(Date.UTC(Number(year), Number(month), 1)) }
}

interface Sums {
  month: Date
  movements: Movement[]
  charges: Charge[]
}

/**
 * An account's statement of a month, from kept sums: as fast after millions of videos as after one. Of the
 * month that is now, it is what there is so far.
 */
export async function readStatement(
  pool: DatabasePool,
  accountId: string,
  { from, to }: { from: Date; to: Date },
): Promise<Statement> {
  const read = async (db: Database) => {
    const months = await readMonths(db, accountId, to)
    return { months, lines: await readLines(db, accountId, { from, to }), now: await readNow(db) }
  }
  const { months, lines, now } = await transaction(pool, read, { isolation: 'repeatable read' })
  const before = months.filter(({ month }) => month < from)
  const own = months.find(({ month }) => month.getTime() === from.getTime())
  const openingMicros = before.reduce((sum, each) => sum + changeOf(each), 0n)
  const movements = own?.movements ?? []
  const charges = own?.charges ?? []
  const closingMicros = openingMicros + changeOf({ movements, charges })
  const isFinal = now.getTime() >= to.getTime() + FINAL_AFTER_MS
  return { from, to, isFinal, openingMicros, movements, charges, closingMicros, lines }
}

/** A month in the list of an account's statements. */
export interface MonthSummary {
  from: Date
  isFinal: boolean
  openingMicros: bigint
  /** What came in and went out beside charges. */
  movedMicros: bigint
  chargedMicros: bigint
  closingMicros: bigint
}

/** The months from the first in which an account's money moved until now, newest first. */
export async function listMonths(pool: DatabasePool, accountId: string): Promise<MonthSummary[]> {
  const read = async (db: Database) => {
    const now = await readNow(db)
    return { now, months: await readMonths(db, accountId, now) }
  }
  const { now, months } = await transaction(pool, read, { isolation: 'repeatable read' })
  const first = months[0]?.month
  if (first === undefined) return []
  const summaries: MonthSummary[] = []
  let openingMicros = 0n
  for (let from = first; from <= now; from = nextMonth(from)) {
    const own = months.find(({ month }) => month.getTime() === from.getTime())
    const chargedMicros = chargedOf(own?.charges ?? [])
    const movedMicros = movedOf(own?.movements ?? [])
    const closingMicros = openingMicros + movedMicros - chargedMicros
    const isFinal = now.getTime() >= nextMonth(from).getTime() + FINAL_AFTER_MS
    summaries.push({ from, isFinal, openingMicros, movedMicros, chargedMicros, closingMicros })
    openingMicros = closingMicros
  }
  return summaries.toReversed()
}

function nextMonth(from: Date): Date {
  return new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + 1, 1))
}

export function movedOf(movements: readonly Movement[]): bigint {
  return movements.reduce((sum, { amountMicros }) => sum + amountMicros, 0n)
}

function chargedOf(charges: readonly Charge[]): bigint {
  return charges.reduce((sum, { chargedMicros }) => sum + chargedMicros, 0n)
}

function changeOf({ movements, charges }: Pick<Sums, 'movements' | 'charges'>): bigint {
  return movedOf(movements) - chargedOf(charges)
}

async function readNow(db: Database): Promise<Date> {
  const { rows } = await db.query<{ now: Date }>({ text: 'select now()' })
  return rows[0]?.now ?? new Date(0)
}

/** All months of an account before `to` in which its money moved, oldest first. */
async function readMonths(db: Database, accountId: string, to: Date): Promise<Sums[]> {
  const transfers = await db.query<{ month: Date; kind: StatementKind; transfers: bigint; amount: bigint }>({
    text: `select month, kind, transfers, amount_micros as amount
    from transfer_month
    where account_id = $1 and month < $2`,
    values: [accountId, to],
  })
  const charges = await db.query<{
    month: Date
    model: string
    tier: string
    videos: bigint
    tokens: bigint
    charged: bigint
    rebate: bigint
    rebates: bigint
  }>({
    text: `select month, model, service_tier as tier, videos, tokens, charged_micros as charged,
      rebate_micros as rebate, rebates
    from charge_month
    where account_id = $1 and month < $2
    order by model, service_tier`,
    values: [accountId, to],
  })
  const months = new Map<number, Sums>()
  const sumsOf = (month: Date): Sums => {
    const sums = months.get(month.getTime()) ?? { month, movements: [], charges: [] }
    months.set(month.getTime(), sums)
    return sums
  }
  for (const { month, kind, transfers: count, amount } of transfers.rows)
    sumsOf(month).movements.push({ kind, transfers: count, amountMicros: amount })
  for (const row of charges.rows) {
    const { model, tier, videos, tokens } = row
    if (videos === 0n) continue
    const sums = sumsOf(row.month)
    sums.charges.push({ model, tier, videos, tokens, chargedMicros: row.charged + row.rebate })
    if (row.rebates > 0n) addRebates(sums.movements, row.rebates, row.rebate)
  }
  for (const { movements } of months.values())
    movements.sort((a, b) => STATEMENT_KINDS.indexOf(a.kind) - STATEMENT_KINDS.indexOf(b.kind))
  return [...months.values()].sort((a, b) => a.month.getTime() - b.month.getTime())
}

/** Rebates are kept with the charges that they are of. */
function addRebates(movements: Movement[], transfers: bigint, amountMicros: bigint): void {
  const known = movements.find(({ kind }) => kind === 'rebate')
  if (known === undefined) movements.push({ kind: 'rebate', transfers, amountMicros })
  else {
    known.transfers += transfers
    known.amountMicros += amountMicros
  }
}

async function readLines(
  db: Database,
  accountId: string,
  { from, to }: { from: Date; to: Date },
): Promise<StatementLine[]> {
  const { rows } = await db.query<{ id: string; kind: StatementKind; amount: bigint; at: Date }>({
    text: `select transfer_id as id, kind, amount_micros as amount, created_at as at
    from account_transfer
    where account_id = $1 and created_at >= $2 and created_at < $3
    order by created_at, transfer_id
    limit $4`,
    values: [accountId, from, to, LINES_MAX],
  })
  return rows.map(({ id, kind, amount, at }) => ({
    transferId: id,
    kind,
    amountMicros: amount,
    createdAt: at,
  }))
}
