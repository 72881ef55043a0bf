import { TIME_LIMITS } from '@sluice/shared/time-limits'
import pg from 'pg'

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
  onError: (error: Error) => void
}

/**
 * Opens the API's connection pool. Each connection works as role sluice_app, which may append to the ledger
 * but not rewrite it, even when the URL names the owner.
 */
export function openDatabase(settings: DatabaseSettings): DatabasePool {
  const pool = new pg.Pool({
    connectionString: settings.url,
    max: settings.connectionsMax,
    options: '-c role=sluice_app -c timezone=UTC',
    application_name: API_APPLICATION,
    connectionTimeoutMillis: TIME_LIMITS.database.connectMs,
    keepAlive: true,
    types,
  })
  pool.on('error', settings.onError)
  return pool as DatabasePool
}

/** Runs `work` in one transaction (READ COMMITTED by default); any throw rolls all of it back. */
export async function transaction<Result>(
  pool: DatabasePool,
  work: (db: Database) => Promise<Result>,
  options: { isolation?: 'repeatable read' } = {},
): Promise<Result> {
  const client = await pool.connect()
  let broken: Error | undefined
  // Nobody else hears of a connection that ends between two statements, and an unheard error ends the
  // process.
  const onError = (error: Error) => {
    broken = error
  }
  client.on('error', onError)
  try {
    await client.query(
      options.isolation === 'repeatable read' ? 'begin isolation level repeatable read' : 'begin',
    )
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError
    })
    throw error
  } finally {
    client.off('error', onError)
    client.release(broken)
  }
}

/** The one row of a result. Throws when there is none, or more than one. */
export function one<Row>(result: { rows: Row[] }): Row {
  const row = result.rows[0]
  if (row === undefined || result.rows.length !== 1)
    throw new Error(`expected one row, got ${result.rows.length}`)
  return row
}
