import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { writeOutput } from './output-file.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))
/** Nobody answers there. */
const env = { PATH: process.env.PATH, SLUICE_BASE_URL: 'http://127.0.0.1:9', SLUICE_API_KEY: 'sk-none' }

function sluice(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}

function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-output-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

test.each([
  ['generate', ['a fox'], '--output'],
  ['watch', ['video_x'], '--output'],
  ['statement', [], '--output'],
  ['plan', ['--from-service'], '--save'],
  ['plan', ['plan.json'], '--svg'],
])(
  'sluice %s %j names %s and exits with 2, before it asks anybody, when that file cannot be written',
  async (command, args, option) => {
    const dir = temporaryFolder()
    expect(await sluice([command, ...args, option, join(dir, 'no/such/file')])).toEqual({
      code: 2,
      out: '',
      err: `sluice: ${option}: the folder ${dir}/no/such is not there or cannot be written\n`,
    })
    expect(await sluice([command, ...args, option, dir])).toMatchObject({
      code: 2,
      err: `sluice: ${option} must name a file, ${dir} is a folder\n`,
    })
  },
)

test('a file is written whole in place of the one before, and nothing else is left', async () => {
  const dir = temporaryFolder()
  const path = join(dir, 'statement.csv')
  writeFileSync(path, 'the one before')
  await writeOutput({ option: '--output', path }, 'a,b\n')
  expect(readFileSync(path, 'utf8')).toBe('a,b\n')
  expect(readdirSync(dir)).toEqual(['statement.csv'])
})

const FULL = '/dev/full'

test.skipIf(!existsSync(FULL))(
  'results that a full disk cannot take are a failure, a reader that left is none',
  async () => {
    const full = openSync(FULL, 'w')
    onTestFinished(() => closeSync(full))
    const child = spawn(process.execPath, [MAIN, 'plan', '--example'], {
      env,
      stdio: ['ignore', full, 'pipe'],
    })
    let err = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    expect(await once(child, 'close')).toEqual([1, null])
    expect(err).toMatch(/^sluice: the output cannot be written: .*ENOSPC/)

    const left = spawn(process.execPath, [MAIN, 'plan', '--example'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    left.stdout?.destroy()
    expect(await once(left, 'close')).toEqual([0, null])
  },
)
