import { parseArgs } from 'node:util'
import { type CampaignReport, runCampaign } from './campaign.ts'
import { describeReport, describeReports } from './report.ts'

const USAGE = `npm run chaos -- [--seed N] [--layout box|fleet] [--queue postgres|redis] [--store disk|s3]
                 [--faults N] [--seconds N] [--customers N] [--only TEXT]

Runs the real service under load while faults hit it, and shows that nothing was lost.
Without --layout, --queue and --store all combinations run one after the other, and a table of all ends it.
--faults and --seconds are for each combination, --customers for each of the three accounts.
`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    layout: { type: 'string' },
    queue: { type: 'string' },
    store: { type: 'string' },
    faults: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '300' },
    customers: { type: 'string', default: '3' },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  process.stdout.write(USAGE)
  process.exit(0)
}

const onLine = (line: string) => process.stdout.write(`${line}\n`)
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    onLine('no more faults; judging (again: ends at once)')
    if (stopping.signal.aborted) process.exit(130)
    stopping.abort()
  })
}

const reports: CampaignReport[] = []
for (const layout of chosen('layout', ['box', 'fleet'] as const)) {
  for (const queue of chosen('queue', ['postgres', 'redis'] as const)) {
    for (const store of chosen('store', ['disk', 's3'] as const)) {
      if (stopping.signal.aborted) break
      const report = await runCampaign({
        seed: numberOf('seed'),
        layout,
        queue,
        store,
        faultsMax: numberOf('faults'),
        secondsMax: numberOf('seconds'),
        customersPerAccount: numberOf('customers'),
        ...(values.only === undefined ? {} : { only: values.only }),
        onLine,
        signal: stopping.signal,
      })
      onLine(describeReport(report))
      reports.push(report)
    }
  }
}
if (reports.length > 1) onLine(describeReports(reports))
process.exit(reports.every(({ problems }) => problems.length === 0) ? 0 : 1)

function chosen<const T extends string>(name: 'layout' | 'queue' | 'store', all: readonly T[]): readonly T[] {
  const given = values[name]
  if (given === undefined) return all
  const one = all.find((value) => value === given)
  if (one !== undefined) return [one]
  process.stderr.write(`--${name} is "${given}": allowed is ${all.join(' or ')}\n`)
  return process.exit(2)
}

function numberOf(name: 'seed' | 'faults' | 'seconds' | 'customers'): number {
  const number = Number(values[name])
  if (Number.isInteger(number) && number >= 0) return number
  process.stderr.write(`--${name} is "${values[name]}": allowed is a whole number\n`)
  return process.exit(2)
}
