import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerReplySchema } from '@sluice/shared/runner-protocol'
import { afterAll, describe, expect, test } from 'vitest'
import { ALL_PASSED, runUnittest } from '../python/runner_tests/run-unittest.ts'

const folder = mkdtempSync(join(tmpdir(), 'diffusers-parts-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe.concurrent('what of the diffusers runner needs no library passes with the standard library alone', () => {
  test.each(['tests.test_form', 'tests.test_parts'])('%s', { timeout: 240_000 }, async (module) => {
    const { exitCode, summary, replies } = await runUnittest({
      python: 'python3',
      runnerFolder: fileURLToPath(new URL('.', import.meta.url)),
      module,
      folder,
    })
    expect(summary).toMatch(ALL_PASSED)
    expect(exitCode).toBe(0)
    for (const reply of replies) expect(runnerReplySchema.parse(reply)).toEqual(reply)
  })
})
