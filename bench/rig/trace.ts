import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Redis } from 'ioredis'
import pg from 'pg'

/** Something that a process did, and when: milliseconds since 1970, as exact as the runtime's clock. */
export interface TraceEvent {
  atMs: number
  what: string
}

let events: TraceEvent[] = []
let isOn = false

export function startTrace(): void {
  events = []
  isOn = true
}

/** What was noted since the trace was started. */
export function stopTrace(): TraceEvent[] {
  isOn = false
  return events
}

/** Notes that something happens now. */
export function note(what: string): void {
  if (isOn) events.push({ atMs: performance.timeOrigin + performance.now(), what })
}

/** From now on this process notes its requests, and what it asks PostgreSQL and Redis. */
export function hookTrace(): void {
  subscribe('http.server.request.start', (message) => {
    const { request } = message as { request: IncomingMessage }
    note(`${nameOfRequest(request)} arrives`)
  })
  subscribe('http.server.response.finish', (message) => {
    const { request } = message as { request: IncomingMessage; response: ServerResponse }
    note(`${nameOfRequest(request)} answered`)
  })
  hookPostgres()
  hookRedis()
}

function nameOfRequest({ method, url = '' }: IncomingMessage): string {
  return `${method} ${url.replace(/\/attempts\/.*/, '/attempts/..')}`
}

function hookPostgres(): void {
  const { prototype } = pg.Client
  const query = prototype.query as (...given: unknown[]) => unknown
  const traced = function (this: pg.Client, ...given: unknown[]): unknown {
    const name = nameOfStatement(given[0])
    note(`${name} sent`)
    const callback = given.at(-1)
    if (typeof callback === 'function') {
      const answered = (...outcome: unknown[]) => {
        note(`${name} answered`)
        callback(...outcome)
      }
      return query.call(this, ...given.slice(0, -1), answered)
    }
    const result = query.call(this, ...given)
    if (result instanceof Promise) {
      const answered = () => note(`${name} answered`)
      result.then(answered, answered)
    }
    return result
  }
  prototype.query = traced as typeof prototype.query
}

function nameOfStatement(query: unknown): string {
  if (typeof query === 'string') return shorten(query)
  const { name, text } = query as { name?: string; text?: string }
  return name === undefined || name.startsWith('bullmq-') ? shorten(text ?? '') : name
}

function shorten(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 48)
}

function hookRedis(): void {
  const { prototype } = Redis
  const { sendCommand } = prototype
  prototype.sendCommand = function (this: Redis, ...given: Parameters<typeof sendCommand>) {
    const [{ name }] = given
    note(`redis ${name} sent`)
    const result = sendCommand.apply(this, given)
    const answered = () => note(`redis ${name} answered`)
    if (result instanceof Promise) result.then(answered, answered)
    return result
  }
}
