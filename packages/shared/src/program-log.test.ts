import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

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
