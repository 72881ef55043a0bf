import { describe, expect, test } from 'vitest'
import { type CampaignOptions, runCampaign } from './campaign.ts'
import { describeReport } from './report.ts'

/** Fixed, so that a failure can be repeated: `npm run chaos -- --seed 20261126 --layout box ...`. */
const SEED = 20_261_126
const SECONDS = 50

const CAMPAIGNS: readonly Pick<CampaignOptions, 'layout' | 'queue' | 'store'>[] = [
  { layout: 'box', queue: 'postgres', store: 'disk' },
  { layout: 'fleet', queue: 'redis', store: 's3' },
]

describe.each(CAMPAIGNS)('under faults of every kind: $layout, queue on $queue, store on $store', (where) => {
  test('nothing is lost, nothing is charged twice, and the service makes videos again after each', async () => {
    const report = await runCampaign({
      ...where,
      seed: SEED,
      secondsMax: SECONDS,
      customersPerAccount: 3,
      faultsMax: 1_000,
      onLine: (line) => process.stdout.write(`${line}\n`),
    })
    process.stdout.write(`${describeReport(report)}\n`)
    expect(report.problems).toEqual([])
    expect(report.recoveries.length).toBeGreaterThan(0)
  })
})
