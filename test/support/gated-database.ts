import type { Scheduler } from 'fast-check'
import type pg from 'pg'
import type { DatabasePool } from '../../apps/api/src/db/database.ts'

/** Calls whose every statement waits until the scheduler lets it go. */
export interface GatedCalls {
  /** The pool, with a gate before each statement and each connection. */
  db: DatabasePool
  /** Lets statements go, one after the other in the scheduler's order, until all calls are over. */
  run(calls: readonly Promise<unknown>[]): Promise<PromiseSettledResult<unknown>[]>
}

/**
 * Puts a scheduler before the database: it decides which of several calls under way sends its next statement.
 * A statement that waits for another call's lock keeps nobody else from going on.
 */
export function gateDatabase(pool: DatabasePool, scheduler: Scheduler): GatedCalls {
  let arrived = () => {}
  const gate = async () => {
    const mayGo = scheduler.schedule(Promise.resolve())
    arrived()
    await mayGo
  }
  const query: DatabasePool['query'] = async (statement) => {
    await gate()
    return pool.query(statement)
  }
  const connect = async () => {
    await gate()
    return gateClient(await pool.connect(), gate)
  }
  return {
    db: new Proxy(pool, {
      get: (target, name) => {
        if (name === 'query') return query
        return name === 'connect' ? connect : bound(target, name)
      },
    }),
    run: async (calls) => {
      let isOver = false
      const all = Promise.allSettled(calls).finally(() => {
        isOver = true
        arrived()
      })
      while (!isOver) {
        const next = new Promise<void>((resolve) => {
          arrived = resolve
        })
        if (scheduler.count() > 0) await scheduler.waitNext(1)
        else if (!isOver) await next
      }
      return all
    },
  }
}

/** Statements that are sent together wait one after the other: a connection keeps their order. */
function gateClient(client: pg.PoolClient, gate: () => Promise<void>): pg.PoolClient {
  let before: Promise<unknown> = Promise.resolve()
  return new Proxy(client, {
    get: (target, name) => {
      if (name === 'query') {
        return async (...given: unknown[]) => {
          const mayGo = before.then(gate)
          before = mayGo
          await mayGo
          return Reflect.apply(target.query, target, given)
        }
      }
      return bound(target, name)
    },
  })
}

/** A property of the real object; its functions keep it as their `this`. */
function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target)
  return typeof value === 'function' ? value.bind(target) : value
}
