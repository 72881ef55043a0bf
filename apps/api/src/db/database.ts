import { AsyncLocalStorage } from 'node:async_hooks'
import { openPool, startupOptions } from '@sluice/shared/postgres-client'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import pg from 'pg'
import { DatabaseUnavailableError } from '../errors.ts'
import { heldUpOr } from './held-up.ts'
import { asUnavailable, isDriversOwn } from './unavailable.ts'

/** Anything that runs SQL: the pool or one connection inside a transaction. */
export interface Database {
  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<pg.QueryResult<Row>>
}

interface Statement {
  /** Statements on the hot path carry a name: each connection then plans them once. */
  name?: string
  text: string
  values?: unknown[]
}

export interface DatabasePool extends Database {
  connect(): Promise<pg.PoolClient>
  /** Runs `work`; what it throws because the database could not be used is a DatabaseUnavailableError. */
  report<Result>(work: () => Promise<Result>): Promise<Result>
  end(): Promise<void>
  readonly options: pg.PoolConfig
}

/** What the API's connections are called in pg_stat_activity. */
export const API_APPLICATION = 'sluice-api'

const INT8_OID = 20

/** bigint columns arrive as bigint: money and tokens never pass through a float. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8_OID && format !== 'binary'
      ? (text: string) => BigInt(text)
      : pg.types.getTypeParser(oid, format)) as pg.CustomTypesConfig['getTypeParser'],
}

export interface DatabaseSettings {
  url: string
  connectionsMax: number
  /** No setting changes these; tests do. */
  limits?: Partial<DatabaseLimits>
  onError: (error: Error) => void
  /** Gets what was thrown because the database could not be used, and null after each success. */
  onOutcome?: (unavailable: DatabaseUnavailableError | null) => void
}

type DatabaseLimits = Record<keyof typeof TIME_LIMITS.database, number>

/**
 * Opens a connection pool of the API. Each connection works as role sluice_app, which may append to the
 * ledger but not rewrite it, even when the URL names the owner. What cannot be done because the database is
 * away, or waits for too long, is a DatabaseUnavailableError.
 */
export function openDatabase(settings: DatabaseSettings): DatabasePool {
  const limits = { ...TIME_LIMITS.database, ...settings.limits }
  const pool = openPool({
    connectionString: settings.url,
    max: settings.connectionsMax,
    options: startupOptions({
      role: 'sluice_app',
      timezone: 'UTC',
      datestyle: 'ISO',
      lock_timeout: limits.lockMs,
      statement_timeout: limits.statementMs,
      idle_in_transaction_session_timeout: limits.idleInTransactionMs,
      // What we gave up as dead must not stay among the server's connections for two hours.
      tcp_keepalives_idle: 10,
      tcp_keepalives_interval: 5,
      tcp_keepalives_count: 3,
    }),
    application_name: API_APPLICATION,
    connectionTimeoutMillis: limits.connectMs,
    answerMs: limits.answerMs,
    listenAskEveryMs: limits.listenAskEveryMs,
    listenAnswerMs: limits.listenAnswerMs,
    // Statements that are sent together do not wait for each other's answers; their order stays.
    pipeline: true,
    types,
  })
  pool.on('error', settings.onError)
  return new ReportingPool(pool, settings.onOutcome)
}

/** A pool whose failures say whether the database is to blame. */
class ReportingPool implements DatabasePool {
  readonly options: pg.PoolConfig
  readonly #pool: pg.Pool
  readonly #onOutcome: NonNullable<DatabaseSettings['onOutcome']>

  constructor(pool: pg.Pool, onOutcome: DatabaseSettings['onOutcome'] = () => {}) {
    this.options = pool.options
    this.#pool = pool
    this.#onOutcome = onOutcome
  }

  query<Row extends pg.QueryResultRow>(statement: Statement): Promise<pg.QueryResult<Row>> {
    return this.report(() => this.#pool.query<Row>(statement))
  }

  connect(): Promise<pg.PoolClient> {
    return this.report(() => this.#pool.connect())
  }

  async report<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      const result = await work()
      this.#onOutcome(null)
      return result
    } catch (error) {
      const known = asUnavailable(error)
      if (known instanceof DatabaseUnavailableError) this.#onOutcome(known)
      throw known
    }
  }

  end(): Promise<void> {
    return this.#pool.end()
  }
}

const insideTransaction = new AsyncLocalStorage<true>()

/**
 * Throws when it is called from within a transaction: what answers late, or never, would keep a connection
 * and its locks meanwhile. Call it where something is about to be asked of another machine.
 */
export function requireNoTransaction(what: string): void {
  if (insideTransaction.getStore() === true) throw new Error(`${what} is asked inside a transaction`)
}

interface TransactionOptions {
  /** READ COMMITTED when it is left out. */
  isolation?: 'repeatable read'
  /** For each statement, when it may take longer than a call's. */
  limitMs?: number
  /**
   * What others wait for: it waits for no lock longer than `lockMs`, and the server ends it when it is idle
   * for `idleMs` between two statements.
   */
  hurry?: { lockMs: number; idleMs: number }
}

/**
 * Runs `work` in one transaction; any throw rolls all of it back. Throws DatabaseUnavailableError when the
 * database is to blame, and HeldUpError when a transaction in a `hurry` was ended for it.
 */
export function transaction<Result>(
  pool: DatabasePool,
  work: (db: Database) => Promise<Result>,
  options: TransactionOptions = {},
): Promise<Result> {
  return pool.report(async () => {
    try {
      return await runTransaction(pool, work, options)
    } catch (error) {
      throw options.hurry === undefined ? error : heldUpOr(error)
    }
  })
}

async function runTransaction<Result>(
  pool: DatabasePool,
  work: (db: Database) => Promise<Result>,
  options: TransactionOptions,
): Promise<Result> {
  const { limitMs } = options
  const client = await pool.connect()
  let broken: Error | undefined
  const onError = (error: Error) => {
    broken ??= error
  }
  client.on('error', onError)
  try {
    const begun = begin(client, options)
    const db = limitMs === undefined ? client : patient(client, limitMs)
    const result = await insideTransaction.run(true, () => work(db))
    await begun
    await client.query('commit')
    return result
  } catch (error) {
    const told = isDriversOwn(error) && asUnavailable(broken) !== broken ? broken : error
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError
    })
    throw told
  } finally {
    client.off('error', onError)
    client.release(broken)
  }
}

/**
 * Sends what begins a transaction, ahead of its first statement and without waiting for it: where there is no
 * connection any more, no later statement is answered either. Its outcome is to be awaited before the commit.
 */
function begin(client: pg.PoolClient, options: TransactionOptions): Promise<unknown> {
  const begun = client.query(beginSql(options))
  begun.catch(() => {})
  return begun
}

/** All in one message. */
function beginSql({ isolation, limitMs, hurry }: TransactionOptions): string {
  const set = (name: string, ms: number | undefined) => (ms === undefined ? [] : `set local ${name} = ${ms}`)
  return [
    isolation === 'repeatable read' ? 'begin isolation level repeatable read' : 'begin',
    set('statement_timeout', limitMs),
    set('lock_timeout', hurry?.lockMs),
    set('idle_in_transaction_session_timeout', hurry?.idleMs),
  ]
    .flat()
    .join('; ')
}

/** The server ends a statement after `limitMs`; its answer may take as much longer as any other's. */
function patient(client: pg.PoolClient, limitMs: number): Database {
  const { answerMs, statementMs } = TIME_LIMITS.database
  const answerLimitMs = limitMs + answerMs - statementMs
  return { query: (statement) => client.query({ ...statement, limitMs: answerLimitMs } as pg.QueryConfig) }
}

/**
 * The results of statements that were sent together in one transaction, in this order. Throws what the first
 * that failed did: those after it only say that the transaction is over.
 */
export async function together<Results extends readonly unknown[]>(
  statements: readonly [...{ [At in keyof Results]: Promise<Results[At]> }],
): Promise<Results> {
  const settled = await Promise.allSettled(statements)
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason
  return settled.map((outcome) =>
    outcome.status === 'fulfilled' ? outcome.value : undefined,
  ) as unknown as Results
}

/** The one row of a result. Throws when there is none, or more than one. */
export function one<Row>(result: { rows: Row[] }): Row {
  const row = result.rows[0]
  if (row === undefined || result.rows.length !== 1)
    throw new Error(`expected one row, got ${result.rows.length}`)
  return row
}
