import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What PYTHONPATH needs for `sluice_runner` and `runner_tests`. */
const SHARED_FOLDER = fileURLToPath(new URL('..', import.meta.url))

export interface Unittest {
  python: string
  /** The folder of a runner: its package and its `tests` lie in it. */
  runnerFolder: string
  module: string
  /** Takes the replies. */
  folder: string
  env?: Record<string, string>
  /** Bound of each test, whose name and time are printed as it ends. Absent: neither. */
  secondsPerTest?: number
}

export interface UnittestRun {
  exitCode: number
  /** What unittest prints: failures, then `Ran N tests`, then OK or FAILED. */
  summary: string
  /** Every reply a runner gave in these tests, in no certain order. */
  replies: unknown[]
}

/** A suite that passed, in which tests ran and none was skipped. */
export const ALL_PASSED = /\nRan [1-9]\d* tests? in .*\n\nOK\n$/

/** Runs one module of a runner's Python suite. */
export async function runUnittest(suite: Unittest): Promise<UnittestRun> {
  const { python, runnerFolder, module, folder, env = {}, secondsPerTest } = suite
  const log = join(folder, `${module}.jsonl`)
  const { exitCode, summary } = await new Promise<{ exitCode: number; summary: string }>((resolve) => {
    const child = execFile(
      python,
      secondsPerTest === undefined
        ? ['-m', 'unittest', module]
        : ['-m', 'runner_tests.timed', module, String(secondsPerTest)],
      {
        cwd: runnerFolder,
        env: {
          PATH: process.env.PATH,
          PYTHONPATH: SHARED_FOLDER,
          PYTHONDONTWRITEBYTECODE: '1',
          SLUICE_TEST_REPLIES: log,
          ...env,
        },
        maxBuffer: 2 ** 24,
      },
      (error, _stdout, stderr) =>
        resolve({
          exitCode: child.exitCode ?? -1,
          summary: stderr === '' && error !== null ? error.message : stderr,
        }),
    )
    if (secondsPerTest !== undefined) child.stderr?.pipe(process.stderr, { end: false })
  })
  const lines = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []
  return { exitCode, summary, replies: lines.map((line) => JSON.parse(line) as unknown) }
}
