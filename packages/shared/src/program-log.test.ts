import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { mayMount, mountSmallDisk } from '../../../test/support/small-disk.ts'

const FILLS_A_DISK = `
import { createProgramLog } from ${JSON.stringify(new URL('./program-log.ts', import.meta.url).href)}
const log = createProgramLog({ name: 'x', level: 'info', hide: (text) => text })
for (let line = 0; line < 20; line += 1) log.info('x'.repeat(4_000))
process.on('beforeExit', () => process.stderr.write('still here'))
setTimeout(() => log.info('one more'), 50)
`

test.skipIf(!mayMount())('a log that goes to a full disk ends no program', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  mountSmallDisk(dir, 16)
  const file = openSync(join(dir, 'log'), 'w')
  const child = spawn(process.execPath, ['--input-type=module', '-e', FILLS_A_DISK], {
    stdio: ['ignore', file, 'pipe'],
  })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  expect(await once(child, 'close')).toEqual([0, null])
  closeSync(file)
  expect(said).toBe('still here')
})

/** Runs a program that logs an error as ioredis throws them, and one that says the secret itself. */
const PROGRAM = `
import { createProgramLog } from ${JSON.stringify(new URL('./program-log.ts', import.meta.url).href)}
import { hideSecrets } from ${JSON.stringify(new URL('./hide-secrets.ts', import.meta.url).href)}
const log = createProgramLog({ name: 'x', level: 'info', hide: hideSecrets(process.env) })
const refused = new Error('WRONGPASS')
Object.assign(refused, { code: 'X', command: { name: 'auth', args: ['short1'] } })
log.warn({ err: refused, url: 'https://u:short1@h' }, 'with canary-1')
const many = new AggregateError([refused], '', { cause: refused })
refused.cause = many
log.warn({ err: many, of: { token: 'canary-1' } }, 'many')
log.warn({ err: { password: 'short1' } }, 'no error')
`

test('a log line has no secret: not of an error, its command or causes, and not of any other field', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    env: { PATH: process.env.PATH, SLUICE_WORKER_TOKEN: 'canary-1' },
  })
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines).toMatchObject([
    { name: 'x', msg: 'with ***', url: 'https://***@h', err: { message: 'WRONGPASS', code: 'X' } },
    { msg: 'many', of: { token: '***' }, err: { errors: [{ message: 'WRONGPASS' }] } },
    { msg: 'no error', err: 'object' },
  ])
  expect(stdout).not.toMatch(/short1|canary/)
})
