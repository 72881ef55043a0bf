import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { ALL_PASSED, runUnittest } from './runner_tests/run-unittest.ts'

const folder = mkdtempSync(join(tmpdir(), 'runner-parts-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe.concurrent('what the Python runners share passes with the standard library alone', () => {
  test.each(['test_form', 'test_parts', 'test_model_state'])('%s', { timeout: 240_000 }, async (module) => {
    const { exitCode, summary } = await runUnittest({
      python: 'python3',
      runnerFolder: fileURLToPath(new URL('.', import.meta.url)),
      module: `runner_tests.${module}`,
      folder,
    })
    expect(summary).toMatch(ALL_PASSED)
    expect(exitCode).toBe(0)
  })
})
