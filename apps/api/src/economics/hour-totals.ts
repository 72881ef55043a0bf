import { FACTS, type Fact, type Facts, NO_FACTS } from '@sluice/shared/economics/facts'
import { type Database, type DatabasePool, transaction } from '../db/database.ts'
import { closeHours } from './closed-hours.ts'
import { SUM_LIMITS } from './open-facts.ts'
import { readStretches } from './stretches.ts'

interface Row {
  pool: string
  fact: Fact
  value: string
}

type Totals = Map<string, Record<Fact, bigint>>

/**
 * All facts since the beginning, by pool ('' = no pool ever took the video). Closed hours never change, so a
 * process reads each once; those of open hours are kept as videos end.
 */
export class HourTotals {
  readonly #pool: DatabasePool
  #closed: Totals = new Map()
  #closedUntil: Date | null = null
  #latest: Totals = new Map()

  constructor(pool: DatabasePool) {
    this.#pool = pool
  }

  /** Calls must come one after another. No total is ever lower than the one before. */
  async read(): Promise<ReadonlyMap<string, Facts>> {
    const until = await closeHours(this.#pool)
    if (until !== null && (this.#closedUntil === null || until > this.#closedUntil)) {
      const added = await this.#sum({ from: this.#closedUntil, to: until }, until)
      this.#closed = merge(this.#closed, added)
      this.#closedUntil = until
    }
    const totals = merge(this.#closed, await this.#sum({ from: until, to: null }, until))
    // GPU time in use is known to the second only once an attempt has ended; a counter never goes back.
    this.#latest = highest(this.#latest, totals)
    return this.#latest
  }

  async #sum(range: { from: Date | null; to: Date | null }, closedUntil: Date | null): Promise<Row[]> {
    const read = async (db: Database) => {
      const rows: Row[] = []
      for (const { text, values } of await readStretches(db, range, closedUntil)) {
        const sums = await db.query<Row>({
          text: `select pool, fact, sum(value)::text as value from (${text}) f group by 1, 2`,
          values,
        })
        rows.push(...sums.rows)
      }
      return rows
    }
    // One snapshot, so that what is counted meanwhile is there once.
    return transaction(this.#pool, read, { isolation: 'repeatable read', ...SUM_LIMITS })
  }
}

function highest(before: Totals, now: Totals): Totals {
  return new Map(
    [...now].map(([pool, facts]) => {
      const old = before.get(pool) ?? NO_FACTS
      const higher = FACTS.map((fact) => [fact, facts[fact] > old[fact] ? facts[fact] : old[fact]] as const)
      return [pool, Object.fromEntries(higher) as Record<Fact, bigint>]
    }),
  )
}

function merge(totals: Totals, rows: readonly Row[]): Totals {
  const merged: Totals = new Map([...totals].map(([pool, facts]) => [pool, { ...facts }]))
  for (const { pool, fact, value } of rows) {
    if (!FACTS.includes(fact)) continue
    const facts = merged.get(pool) ?? { ...NO_FACTS }
    facts[fact] += BigInt(value)
    merged.set(pool, facts)
  }
  return merged
}
