import { expect, test, vi } from 'vitest'
import { isQueueTrouble, logQueueTrouble } from './queue-trouble.ts'

const refused = () =>
  Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6379'), { code: 'ECONNREFUSED' })
const postgres = (code: string, message: string) => Object.assign(new Error(message), { code })
const wrongPassword = () => Object.assign(new Error('WRONGPASS no'), { name: 'ReplyError' })

test('of an outage each kind of error is logged once, with the setting, and its end', () => {
  vi.useFakeTimers()
  try {
    const lines: string[] = []
    const log = {
      warn: (fields: { setting?: string }, text: string) => void lines.push(`warn ${fields.setting} ${text}`),
      info: (fields: { setting?: string }, text: string) => void lines.push(`info ${fields.setting} ${text}`),
    }
    // biome-ignore lint/suspicious/noExplicitAny: only these two calls of a log are made
    const note = logQueueTrouble(log as any, 'REDIS_URL')
    const cannot = 'warn REDIS_URL the queue of REDIS_URL cannot be used now; trying again'
    for (let second = 0; second < 300; second += 1) {
      note(second === 60 ? wrongPassword() : refused())
      vi.advanceTimersByTime(1_000)
    }
    expect(lines).toEqual([cannot, cannot])
    note(new Error('queue job 7 is not an attempt'))
    expect(lines.pop()).toBe('warn undefined the queue')
    vi.advanceTimersByTime(10_000)
    expect(lines.pop()).toBe('info REDIS_URL the queue of REDIS_URL works again')
    note(refused())
    expect(lines).toEqual([cannot, cannot, cannot])
  } finally {
    vi.useRealTimers()
  }
})

test('what says that the server is away is told from what is wrong here', () => {
  for (const error of [
    refused(),
    wrongPassword(),
    new Error('Connection is closed.'),
    new Error('Command timed out'),
    new Error('Connection terminated unexpectedly'),
    new AggregateError([refused()], ''),
    postgres('57P01', 'terminating connection due to unexpected postmaster exit'),
    postgres('57P03', 'the database system is starting up'),
    postgres('53300', 'too many connections for role "sluice"'),
  ])
    expect(isQueueTrouble(error), error.message).toBe(true)
  for (const error of [
    postgres('42P01', 'relation "x" does not exist'),
    new Error('not an attempt'),
    new TypeError('x is undefined'),
    'text',
    undefined,
  ])
    expect(isQueueTrouble(error)).toBe(false)
})
