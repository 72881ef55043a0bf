import { readS3 } from './config/store.ts'
import { S3Store } from './storage/s3-store.ts'

/*
 * The program that `sluice doctor` runs: judges the S3 settings of its environment as a start does, but makes
 * nothing. Prints one line of JSON.
 */

const settings = readS3(process.env)
if (settings?.kind !== 's3') throw new Error('SLUICE_S3_ENDPOINT is not set')
const store = new S3Store(settings)
const found = await store.findFault()
process.stdout.write(
  `${JSON.stringify({
    problem: found?.fault.message ?? null,
    is_missing_bucket: found?.isMissingBucket ?? false,
    clock_ahead_ms: store.clockAheadMs(),
  })}\n`,
)
await store.close()
