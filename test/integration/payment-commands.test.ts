import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { indentedBlocks, readDoc } from '../support/doc-pages.ts'
import { operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { checkout, STRIPE_SECRET, sendStripeEvent, stripeEvent } from '../support/stripe-events.ts'

const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))
let api: TestApi
let dir: string

beforeAll(async () => {
  api = await startTestApi({ stripe: { webhookSecret: STRIPE_SECRET, paymentLink: undefined } })
  dir = mkdtempSync(join(tmpdir(), 'sluice-test-payments-'))
})
afterAll(async () => {
  await api?.stop()
  rmSync(dir, { recursive: true, force: true })
})

/** Runs a line of the page, or other words, with the service's data dir. Returns what it printed. */
function sluice(line: string): Promise<{ code: number; out: string; err: string }> {
  const words = line.replace(/^npx sluice /, '').split(' ')
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...words],
      { cwd: dir, env: { PATH: process.env.PATH, SLUICE_DATA_DIR: api.dataDir } },
      (error, out, err) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}
const pay = async (accountId: string | null) => {
  const event = stripeEvent('checkout.session.completed', checkout(accountId, 2_500))
  return (await sendStripeEvent(api.url, event)).body.payment_id as string
}

test('docs/payments.md: every line does what is said beside it', async () => {
  const accountId = await operatorOf(api).account()
  const ids = { OTHER_PAYMENT_ID: await pay(null), PAYMENT_ID: await pay(null), ACCOUNT_ID: accountId }
  const [decide = '', statements = '', ...more] = indentedBlocks(readDoc('payments.md'))
  expect(more).toEqual([])
  const run = async (line: string) => {
    const month = new Date().toISOString().slice(0, 7)
    const here = Object.entries(ids).reduce((text, [name, id]) => text.replaceAll(name, id), line)
    const said = await sluice(here.replace('2026-10', month))
    expect(said, line).toMatchObject({ code: 0, err: '' })
    return said.out
  }
  const [list = '', credit = '', dismiss = '', ofAccount = '', waive = ''] = decide.trim().split('\n')
  const unassigned = await run(list)
  expect(unassigned.trim().split('\n')).toHaveLength(2)
  expect(unassigned).toMatch(
    /unassigned \(no account\) {2}for nobody {2}25 USD paid {2}test mode {2}cs_test_/,
  )
  expect(await run(credit)).toContain(`credited  ${accountId}  25 USD paid  25 USD credited`)
  expect(await run(dismiss)).toContain(`${ids.OTHER_PAYMENT_ID}  `)
  expect((await run(ofAccount)).trim().split('\n')).toEqual([expect.stringContaining(`${ids.PAYMENT_ID}  `)])
  expect(await run(waive)).toContain('25 USD credited')
  expect(await run(list)).toBe('')

  const [own = '', another = '', csv = '', html = ''] = statements.trim().split('\n')
  expect(await run(own)).toMatch(/^20\d\d-\d\d so far {2}acct_\w+ {2}"/)
  expect(await run(another)).toMatch(
    new RegExp(
      `${accountId} .*\\nopening balance +0 USD\\ntop up \\(1\\) +25 USD\\nclosing balance +25 USD\\n$`,
    ),
  )
  await run(csv)
  expect(readFileSync(join(dir, 'statement.csv'), 'utf8')).toMatch(/^what,date,transfer,/)
  await run(html)
  expect(readFileSync(join(dir, 'statement.html'), 'utf8')).toMatch(/^<!doctype html>/)
})

test('a credit of what no refund will name says so', async () => {
  const accountId = await operatorOf(api).account()
  const session = checkout(accountId, 500, { mode: 'subscription', payment_intent: null })
  const event = stripeEvent('checkout.session.completed', session)
  const { payment_id: id } = (await sendStripeEvent(api.url, event)).body
  const { code, out } = await sluice(`payments credit ${id} --account ${accountId}`)
  expect(code).toBe(0)
  expect(out).toContain('5 USD credited')
  expect(out).toContain(`Refunds and disputes do not name ${id}, so they take nothing back by themselves`)
  const named = await pay(null)
  expect((await sluice(`payments credit ${named} --account ${accountId}`)).out).not.toContain('do not name')
})

test('what the operator asks for wrongly is named, and nothing is done', async () => {
  expect(await sluice('statement 2026-13')).toMatchObject({
    code: 2,
    err: expect.stringContaining('2026-11'),
  })
  expect(await sluice('payments list --status lost')).toMatchObject({ code: 2 })
  expect(await sluice('payments credit pay_none')).toMatchObject({ code: 2 })
  expect(await sluice('payments dismiss pay_none')).toMatchObject({
    code: 1,
    err: expect.stringContaining('No such payment'),
  })
  expect(await sluice('payments waive pay_none')).toMatchObject({
    code: 2,
    err: expect.stringContaining('--yes'),
  })
})
