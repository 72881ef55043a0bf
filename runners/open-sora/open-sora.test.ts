import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerReplySchema } from '@sluice/shared/runner-protocol'
import { afterAll, describe, expect, test } from 'vitest'

const PACKAGE_FOLDER = fileURLToPath(new URL('.', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'open-sora-replies-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs one file of the Python suite; answers its summary and every reply a runner gave it. */
async function runUnittest(module: string): Promise<{ exitCode: number; summary: string; replies: unknown[] }> {
  const log = join(folder, `${module}.jsonl`)
  const { exitCode, summary } = await new Promise<{ exitCode: number; summary: string }>((resolve) => {
    const python = execFile(
      'python3',
      ['-m', 'unittest', module],
      {
        cwd: PACKAGE_FOLDER,
        env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: '1', SLUICE_TEST_REPLIES: log },
        maxBuffer: 2 ** 24,
      },
      (_error, _stdout, stderr) => resolve({ exitCode: python.exitCode ?? -1, summary: stderr }),
    )
  })
  const lines = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []
  return { exitCode, summary, replies: lines.map((line) => JSON.parse(line) as unknown) }
}

describe.concurrent('the Python suite passes with the standard library alone, and every reply keeps the protocol', () => {
  test.each([
    ['tests.test_parts', []],
    ['tests.test_runner', ['cancelled', 'checkpoint', 'failed', 'finished', 'progress', 'ready', 'released', 'started', 'yielded']],
    ['tests.test_devices', ['cancelled', 'checkpoint', 'failed', 'finished', 'progress', 'ready', 'released', 'started', 'yielded']],
  ] as const)('%s', { timeout: 180_000 }, async (module, kinds) => {
    const { exitCode, summary, replies } = await runUnittest(module)
    expect(summary).toMatch(/\nRan [1-9]\d* tests in .*\n\nOK\n$/)
    expect(exitCode).toBe(0)
    for (const reply of replies) expect(runnerReplySchema.parse(reply)).toEqual(reply)
    expect([...new Set(replies.map((reply) => runnerReplySchema.parse(reply).type))].sort()).toEqual(kinds)
  })
})
