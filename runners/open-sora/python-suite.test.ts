import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerReplySchema } from '@sluice/shared/runner-protocol'
import { afterAll, describe, expect, test } from 'vitest'
import { ALL_PASSED, runUnittest } from '../python/runner_tests/run-unittest.ts'

const folder = mkdtempSync(join(tmpdir(), 'open-sora-replies-'))
afterAll(() => rmSync(folder, { recursive: true }))

const RUNNER_FOLDER = fileURLToPath(new URL('.', import.meta.url))
const EVERY_KIND = [
  'cancelled',
  'checkpoint',
  'failed',
  'finished',
  'progress',
  'ready',
  'released',
  'started',
  'yielded',
]

describe.concurrent('the Python suite passes with the standard library alone, and every reply keeps the protocol', () => {
  test.each([
    ['tests.test_form', []],
    ['tests.test_parts', []],
    ['tests.test_protocol', EVERY_KIND],
    ['tests.test_devices', EVERY_KIND],
    ['tests.test_switching_models', EVERY_KIND.filter((kind) => kind !== 'checkpoint')],
  ] as const)('%s', { timeout: 240_000 }, async (module, kinds) => {
    const { exitCode, summary, replies } = await runUnittest({
      python: 'python3',
      runnerFolder: RUNNER_FOLDER,
      module,
      folder,
    })
    expect(summary).toMatch(ALL_PASSED)
    expect(exitCode).toBe(0)
    for (const reply of replies) expect(runnerReplySchema.parse(reply)).toEqual(reply)
    expect([...new Set(replies.map((reply) => runnerReplySchema.parse(reply).type))].sort()).toEqual(kinds)
  })
})
