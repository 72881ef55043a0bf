import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { startInTerminal } from '../support/terminal.ts'

const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))
let api: TestApi
let operator: Operator

beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
})
afterAll(() => api.stop())

interface Run {
  code: number
  out: string
  err: string
}

/** Runs `npx sluice ...` with the service's data dir, or with `env` instead. */
function sluice(
  args: readonly string[],
  env: Record<string, string> = { SLUICE_DATA_DIR: api.dataDir },
): Promise<Run> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...args],
      { env: { PATH: process.env.PATH, ...env } },
      (error, out, err) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}

test('sluice keys makes a key of the operator, which reads and changes nothing', async () => {
  const made = await sluice(['keys', 'create', '--operator', 'metrics:read', '--name', 'prometheus'])
  expect(made).toMatchObject({ code: 0, err: '' })
  const [line = '', key = ''] = made.out.trim().split('\n')
  expect(line).toContain('"prometheus"  metrics:read')
  expect((await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${key}` } })).status).toBe(
    200,
  )
  expect((await sluice(['keys', 'create', '--operator', 'admin:read', '--budget', '5'])).code).toBe(2)
})

test('sluice accounts opens an account, changes what is named and leaves the rest, and lists it', async () => {
  const opened = await sluice(['accounts', 'open', '--name', 'a studio', '--running', '4'])
  expect(opened).toMatchObject({ code: 0, err: '' })
  const id = /acct_[0-9a-z]{26}/.exec(opened.out)?.[0] ?? ''
  expect(opened.out).toBe(
    `${id}  "a studio"  0 USD to spend  0 queued, 0 in progress  at most 1000 queued  at most 4 running\n`,
  )
  const change = (...flags: string[]) => sluice(['accounts', 'change', '--account', id, ...flags])
  expect((await change('--promises', 'on', '--weight', '200')).code).toBe(0)
  expect(await operator.must('GET', `/v1/admin/accounts/${id}`)).toMatchObject({
    name: 'a studio',
    promises: true,
    weight: 200,
    running_max: 4,
  })
  const changed = await change('--promises', 'off', '--running', 'none')
  expect(changed.out).toContain('weight 200  at most 1000 queued\n')
  expect((await sluice(['accounts', 'list'])).out).toContain(changed.out)
  expect(await change('--promises', 'maybe')).toMatchObject({ code: 2, out: '' })
})

test('sluice keys makes a key that works, lists it, changes it, and revokes it', async () => {
  const made = await sluice([
    'keys',
    'create',
    '--name',
    'web shop',
    '--budget',
    '1000000',
    '--interval',
    'day',
    '--rpm',
    '60',
    '--model',
    'animatic',
  ])
  expect(made).toMatchObject({ code: 0, err: '' })
  const [line = '', key = ''] = made.out.trim().split('\n')
  expect(line).toMatch(
    /^key_\w+ {2}sk-sluice-.*"web shop" {2}videos:read videos:write {2}models animatic {2}1000000 tokens per day {2}60 requests a minute$/,
  )
  const id = line.split(' ')[0] ?? ''
  expect((await api.call('GET', '/v1/key', undefined, { key })).body).toMatchObject({
    id,
    name: 'web shop',
    token_budget: 1_000_000,
  })
  expect((await sluice(['keys', 'list'])).out).toContain(line)

  const changed = await sluice([
    'keys',
    'change',
    id,
    '--model',
    'none',
    '--budget',
    '5',
    '--rpm',
    'none',
    '--queued',
    '9',
    '--running',
    '2',
  ])
  expect(changed).toMatchObject({ code: 0, err: '' })
  expect(changed.out).toMatch(
    /"web shop" {2}videos:read videos:write {2}5 tokens per day {2}at most 9 queued {2}at most 2 running\n$/,
  )
  const again = await sluice([
    'keys',
    'change',
    id,
    '--budget',
    'none',
    '--queued',
    'none',
    '--running',
    'none',
    '--expires',
    '2100-01-31',
  ])
  expect(again.out).toMatch(/"web shop" {2}videos:read videos:write {2}expires 2100-01-31 00:00\n$/)
  expect((await sluice(['keys', 'change', id, '--expires', 'none', '--name', 'shop'])).out).toMatch(
    /"shop" {2}videos:read videos:write\n$/,
  )
  expect((await sluice(['keys', 'change', id, '--running', 'few'])).code).toBe(2)

  // Nobody is there to say yes.
  expect(await sluice(['keys', 'revoke', id])).toMatchObject({
    code: 2,
    err: expect.stringContaining('add --yes'),
  })
  expect((await api.call('GET', '/v1/key', undefined, { key })).status).toBe(200)
  const revoked = await sluice(['keys', 'revoke', id, '--yes'])
  expect(revoked.out).toMatch(new RegExp(`^${id}.* revoked \\d{4}-`))
  expect((await api.call('GET', '/v1/key', undefined, { key })).status).toBe(401)
  expect(await sluice(['keys', 'change', id, '--name', 'x'])).toMatchObject({
    code: 1,
    err: expect.stringContaining('[409 state_conflict]'),
  })
})

test('sluice credits adds once what is sent twice, shows and refunds, with an admin key from the environment', async () => {
  const accountId = await operator.account({}, { name: 'studio' })
  const env = { SLUICE_ADMIN_KEY: api.adminKey, SLUICE_BASE_URL: `${api.url}/v1` }
  const on = (...args: string[]) => sluice(['credits', ...args, '--account', accountId], env)
  for (let times = 0; times < 2; times += 1) {
    expect((await on('add', '12.5', '--once', 'invoice 7')).out).toContain('added 12.5 USD (paid)')
  }
  expect((await on('add', '3', '--promotional')).out).toContain('added 3 USD (promotional)')
  expect((await on('show')).out).toBe(
    `${accountId}  "studio"  15.5 USD to spend (12.5 paid, 3 promotional), 0 held\n`,
  )
  expect(await on('refund')).toMatchObject({ code: 2, out: '', err: expect.stringContaining('add --yes') })
  const asked = startInTerminal([MAIN, 'credits', 'refund', '--account', accountId], { env })
  await asked.shows(
    /Take 12\.5 USD off acct_\w+ "studio", to pay it back\? This cannot be undone\. \[y\/N\] /,
  )
  asked.type('\r')
  expect(await asked.exit).toBe(1)
  expect(asked.shown()).toContain('nothing was refunded')
  expect((await on('refund', '--yes')).out).toBe(
    `to be paid back: 12.5 USD\n${accountId}  "studio"  3 USD to spend (0 paid, 3 promotional), 0 held\n`,
  )
})

test('sluice credits adds credit that expires, shows it in the order in which it is spent, and sets the threshold of balance.low', async () => {
  const accountId = await operator.account({ paid: '1' }, { name: 'studio' })
  const on = (...args: string[]) => sluice(['credits', ...args, '--account', accountId])
  const late = await on('add', '2', '--expires', '2100-01-31')
  expect(late.out).toMatch(/^added 2 USD \(paid\), expires 2100-01-31 00:00: credit_\w+\n/)
  const soon = await on('add', '4', '--promotional', '--expires', '2099-06-30T12:30:00Z')
  const [first = '', second = ''] = [soon.out, late.out].map((out) => out.match(/credit_\w+/)?.[0])
  expect((await on('alert', '5')).out).toBe('balance.low below 5 USD\n')
  expect((await on('show')).out.split('\n')).toEqual([
    `${accountId}  "studio"  7 USD to spend (3 paid, 4 promotional), 0 held`,
    '  balance.low below 5 USD',
    `  ${first}  4 of 4 USD (promotional)  expires 2099-06-30 12:30`,
    `  ${second}  2 of 2 USD (paid)  expires 2100-01-31 00:00`,
    '',
  ])
  expect((await on('alert', 'none')).out).toBe('balance.low is not sent\n')
  expect((await on('alert', '0')).code).toBe(2)
  expect(await on('add', '1', '--expires', '2001-01-01')).toMatchObject({
    code: 1,
    err: expect.stringContaining('expires_at'),
  })
})

test('sluice flex-prices sets what flex costs by hour or by utilisation, and shows it with the prices now', async () => {
  const set = await sluice(['flex-prices', 'set', '--by', 'utilisation', '0=0.25', '80=0.75'])
  expect(set).toMatchObject({ code: 0, err: '' })
  expect(set.out).toContain(
    'from 0 to 80 %  x 0.25\nfrom 80 % on  x 0.75\nnow x 0.25, at a utilisation of 0.0 %:\n',
  )
  expect(set.out).toContain('animatic 256px  0.05 USD per million\n')
  expect((await sluice(['flex-prices', 'set', '0=0.5', '7=0.4'])).code).toBe(0)
  const shown = await sluice(['flex-prices', 'show'])
  expect(shown.out).toContain('0:00 to 7:00 UTC  x 0.5\n7:00 to 24:00 UTC  x 0.4\n')
  expect(await operator.must('GET', '/v1/admin/flex-prices')).toMatchObject({ by: 'hour' })
  expect((await sluice(['flex-prices', 'set', '1=0.5'])).err).toContain('steps.0.from is 1')
  expect((await sluice(['flex-prices', 'set', 'night=0.5'])).code).toBe(2)
  const flex = ['--tier', 'flex', '--frames', '5', '--steps', '10']
  const quoted = await sluice([
    'quote',
    'a boat',
    ...flex,
    '--not-before',
    new Date(Date.now() + 7_200_000).toISOString(),
  ])
  expect(quoted).toMatchObject({ code: 0, err: '' })
  expect(quoted.out).toMatch(/flex is at 0\.(1|08) USD per million now: it waits for \d{4}-\d\d-\d\d /)
  expect((await sluice(['quote', 'a boat', ...flex, '--max-price', '0.01'])).err).toContain(
    'flex costs at least',
  )
})

test('what is refused exits with 1 and the reason, what is missing or misspelt with 2', async () => {
  expect((await sluice(['credits', 'add'])).code).toBe(2)
  expect(await sluice(['credits', 'add', 'abc'])).toMatchObject({
    code: 2,
    err: expect.stringMatching(/'abc' is invalid for argument 'amount'.*25 or 12\.50/),
  })
  const given = { amount: 'abc', kind: 'paid' }
  const refused = await operator.call('POST', `/v1/admin/accounts/${await operator.account()}/credit`, given)
  expect(refused.body.error.message).toMatch(/abc.*12\.50/)
  expect(await sluice(['credits', 'add', '1', '--account', 'nobody'])).toMatchObject({
    code: 1,
    err: 'sluice: No such account. (account_id) [404 not_found]\n',
  })
  const noKey = await sluice(['keys', 'list'], { SLUICE_DATA_DIR: '/nonexistent' })
  expect(noKey.code).toBe(2)
  expect(noKey.err).toMatch(/no admin key.*SLUICE_DATA_DIR.*SLUICE_ADMIN_KEY/)
})
