import { expect, test } from 'vitest'
import { logEachReason } from './error-message.ts'

test('of many tries each reason is logged once', () => {
  const lines: unknown[] = []
  const warn = (fields: { err: Error; file: string }, text: string) =>
    lines.push([fields.file, (fields.err.cause as Error).message, text])
  // biome-ignore lint/suspicious/noExplicitAny: only this call of a log is made
  const logTry = logEachReason({ warn } as any, { file: 'result' }, 'tried again')
  const failed = (why: string) => new Error('PUT did not get through', { cause: new Error(why) })
  for (const why of ['refused', 'refused', 'full', 'refused', 'full']) logTry(failed(why))
  expect(lines).toEqual([
    ['result', 'refused', 'tried again'],
    ['result', 'full', 'tried again'],
  ])
})
