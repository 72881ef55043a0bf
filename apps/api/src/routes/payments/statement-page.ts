import { createHash } from 'node:crypto'
import { formatMicros } from '@sluice/shared/money'
import { monthName, movedOf, type Statement, type StatementKind } from '../../accounts/statement.ts'
import { escapeHtml } from '../../http/person-page.ts'
import { RawReply } from '../../http/reply.ts'

/** What each kind of movement is called on paper. */
const WORDS: Record<StatementKind, string> = {
  top_up: 'Credit paid',
  trial_grant: 'Promotional credit',
  rebate: 'Given back for missed promises',
  reinstatement: 'Given again: refunds that failed, disputes won',
  refund: 'Unused balance paid back',
  reversal: 'Taken back: payments refunded or disputed',
  expiry: 'Credit expired',
}
const TIERS: Readonly<Record<string, string>> = { priority: 'Priority', standard: 'Standard', flex: 'Flex' }

const STYLE = `:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0;padding:2.5rem 1.25rem;background:#eceae4;color:#1b1c1c;
font:400 .9375rem/1.5 "Segoe UI",Inter,Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:46rem;margin:0 auto;padding:3rem 3.25rem;background:#fffefb;border:1px solid #dfdbd1}
header{display:flex;justify-content:space-between;gap:2rem;align-items:baseline;
padding-bottom:1.25rem;border-bottom:2px solid #1b1c1c}
h1{margin:0;font:400 1.9rem/1.15 Palatino,"Palatino Linotype",Georgia,serif}
header p{margin:0;text-align:right;color:#5a5b57}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.5rem;margin:1.5rem 0 2rem}
dt{color:#5a5b57}
dd{margin:0;overflow-wrap:anywhere}
h2{margin:2.25rem 0 .5rem;font:400 1.2rem/1.3 Palatino,"Palatino Linotype",Georgia,serif}
table{width:100%;border-collapse:collapse}
th,td{padding:.4rem .75rem .4rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #e6e2d8}
th{font-weight:400;font-size:.8125rem;color:#5a5b57}
th.n,td.n{padding-right:0;padding-left:.75rem;text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}
td code{font:.75rem/1.6 ui-monospace,"DejaVu Sans Mono",monospace;color:#5a5b57;overflow-wrap:anywhere}
tr.sum td{border-bottom:0;border-top:2px solid #1b1c1c;font-weight:600}
tr.balance td{font-weight:600}
footer{margin-top:2.5rem;color:#5a5b57;font-size:.8125rem}
@media print{@page{margin:18mm}body{padding:0;background:none}
main{max-width:none;padding:0;border:0;background:none}tr,h2{break-inside:avoid}h2{break-after:avoid}}
@media (max-width:34rem){main{padding:1.5rem 1.25rem}header{display:block}header p{text-align:left}
table{font-size:.75rem}th,td{padding-right:.4rem}th.n,td.n{padding-left:.4rem}}
`
const STYLE_HASH = `'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`

/** Whose statement it is, and who made it. */
interface Facts {
  account: { id: string; name: string }
  currency: string
  issuer: string
}

/** A statement as a page of its own, to read and to print; it loads nothing. */
export function statementPage(statement: Statement, facts: Facts): RawReply {
  const page = pageOf(statement, facts)
  return new RawReply((response) => {
    const policy = response.getHeader('content-security-policy')
    if (typeof policy === 'string')
      response.set('content-security-policy', `${policy};style-src ${STYLE_HASH}`)
    response.vary('Accept').set('cache-control', 'no-store').type('html').send(page)
  })
}

function pageOf(statement: Statement, { account, currency, issuer }: Facts): string {
  const money = columnOf(statement)
  const days = `${dayText(statement.from)} to ${dayText(new Date(statement.to.getTime() - 1))} (UTC)`
  const title = `Statement ${monthName(statement.from)}`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ${escapeHtml(account.name)}</title>
<style>${STYLE}</style>
<main>
<header><h1>${title}</h1><p>${escapeHtml(issuer)}</p></header>
<dl>
<dt>Account</dt><dd>${escapeHtml(account.name)}<br>${account.id}</dd>
<dt>Period</dt><dd>${days}${statement.isFinal ? '' : ', so far'}</dd>
<dt>Currency</dt><dd>${currency}</dd>
</dl>
${summaryOf(statement, money)}
${chargesOf(statement, money)}
${linesOf(statement, money)}
<footer>Amounts are exact: what stands between the opening and the closing balance adds up to their
difference. Balances include what was held for videos that had not ended. This is a statement, not an
invoice.</footer>
</main>
</html>
`
}

type Money = (micros: bigint) => string

/** Shows amounts with as many decimals as the most exact one has, at least two: they stand in line. */
function columnOf(statement: Statement): Money {
  const all = [
    statement.openingMicros,
    statement.closingMicros,
    ...statement.movements.map(({ amountMicros }) => amountMicros),
    ...statement.charges.map(({ chargedMicros }) => chargedMicros),
    ...statement.lines.map(({ amountMicros }) => amountMicros),
  ]
  const decimals = Math.max(2, ...all.map((micros) => (formatMicros(micros).split('.')[1] ?? '').length))
  return (micros) => {
    const [whole = '', fraction = ''] = formatMicros(micros < 0n ? -micros : micros).split('.')
    const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',')
    return `${micros < 0n ? '−' : ''}${grouped}.${fraction.padEnd(decimals, '0')}`
  }
}

const dayText = (date: Date) => date.toISOString().slice(0, 10)
const count = (number: bigint) => number.toString().replaceAll(/\B(?=(\d{3})+$)/g, ',')
const row = (cells: readonly string[], kind = '') =>
  `<tr${kind === '' ? '' : ` class="${kind}"`}>${cells.join('')}</tr>`
const cell = (text: string) => `<td>${text}</td>`
const number = (text: string) => `<td class="n">${text}</td>`

function summaryOf({ openingMicros, movements, charges, closingMicros }: Statement, money: Money): string {
  const chargedMicros = charges.reduce((sum, charge) => sum + charge.chargedMicros, 0n)
  const rows = [
    row([cell('Opening balance'), number(money(openingMicros))], 'balance'),
    ...movements.map(({ kind, amountMicros }) => row([cell(WORDS[kind]), number(money(amountMicros))])),
    row([cell('Charged for videos'), number(money(-chargedMicros))]),
    row([cell('Closing balance'), number(money(closingMicros))], 'sum'),
  ]
  return `<table>${rows.join('\n')}</table>`
}

function chargesOf({ charges }: Statement, money: Money): string {
  if (charges.length === 0) return ''
  const head = `<tr><th>Model</th><th>Tier</th><th class="n">Videos</th><th class="n">Tokens</th><th class="n">Charged</th></tr>`
  const rows = charges.map(({ model, tier, videos, tokens, chargedMicros }) =>
    row([
      cell(escapeHtml(model)),
      cell(TIERS[tier] ?? escapeHtml(tier)),
      number(count(videos)),
      number(count(tokens)),
      number(money(chargedMicros)),
    ]),
  )
  const sum = (of: (charge: Statement['charges'][number]) => bigint) =>
    charges.reduce((total, charge) => total + of(charge), 0n)
  const total = row(
    [
      '<td colspan="2">In all</td>',
      number(count(sum(({ videos }) => videos))),
      number(count(sum(({ tokens }) => tokens))),
      number(money(sum(({ chargedMicros }) => chargedMicros))),
    ],
    'sum',
  )
  return `<h2>Videos</h2>\n<table>${[head, ...rows, total].join('\n')}</table>`
}

function linesOf({ lines, movements }: Statement, money: Money): string {
  if (lines.length === 0) return ''
  const rows = lines.map(({ createdAt, kind, transferId, amountMicros }) =>
    row([
      cell(dayText(createdAt)),
      cell(`${WORDS[kind]}<br><code>${transferId}</code>`),
      number(money(amountMicros)),
    ]),
  )
  const ofVideos = movements.filter(({ kind }) => kind === 'rebate')
  const rest =
    movedOf(movements) - movedOf(ofVideos) - lines.reduce((sum, line) => sum + line.amountMicros, 0n)
  const more =
    rest === 0n ? [] : [row([cell(''), cell('Further ones, which the ledger lists'), number(money(rest))])]
  const head = '<tr><th>Date</th><th>What</th><th class="n">Amount</th></tr>'
  return `<h2>Credits and what was paid back</h2>\n<table>${[head, ...rows, ...more].join('\n')}</table>`
}
