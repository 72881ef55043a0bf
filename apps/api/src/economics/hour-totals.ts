import type { DatabasePool } from '../db/database.ts'
import { CLOSED_FACTS_SQL, closeHours } from './closed-hours.ts'
import { FACTS, type Fact, type Facts, NO_FACTS } from './facts.ts'
import { FACTS_SQL } from './facts-sql.ts'

interface Row {
  pool: string
  fact: Fact
  value: string
}

type Totals = Map<string, Record<Fact, bigint>>

/**
 * All facts since the beginning, by pool ('' = no pool ever took the video). Closed hours never change, so a
 * process reads each once; what came since is summed again each time, an hour and a quarter at most.
 */
export class HourTotals {
  readonly #pool: DatabasePool
  #closed: Totals = new Map()
  #closedUntil: Date | null = null

  constructor(pool: DatabasePool) {
    this.#pool = pool
  }

  /** Calls must come one after another. */
  async read(): Promise<ReadonlyMap<string, Facts>> {
    const until = await closeHours(this.#pool)
    if (until !== null && (this.#closedUntil === null || until > this.#closedUntil)) {
      const added = await this.#sum(CLOSED_FACTS_SQL, this.#closedUntil ?? '-infinity', until)
      this.#closed = merge(this.#closed, added)
      this.#closedUntil = until
    }
    return merge(this.#closed, await this.#sum(FACTS_SQL, until ?? '-infinity', 'infinity'))
  }

  async #sum(facts: string, from: Date | string, to: Date | string): Promise<Row[]> {
    const { rows } = await this.#pool.query<Row>({
      text: `select pool, fact, sum(value)::text as value from (${facts}) f group by 1, 2`,
      values: [from, to],
    })
    return rows
  }
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
