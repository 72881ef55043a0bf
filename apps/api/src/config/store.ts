import {
  type Environment,
  httpUrlSetting,
  optionalSetting,
  readSettings,
  SettingError,
  secretSetting,
} from '@sluice/shared/settings'
import type { StoreSettings } from '../storage/open-store.ts'

/**
 * Undefined when SLUICE_S3_ENDPOINT is not set: then objects are stored on disk. Throws SettingErrors.
 */
export function readS3(env: Environment): StoreSettings | undefined {
  const {
    endpoint,
    publicEndpoint,
    keys: _,
    ...read
  } = readSettings({
    endpoint: () => httpUrlSetting(env, 'SLUICE_S3_ENDPOINT'),
    publicEndpoint: () => httpUrlSetting(env, 'SLUICE_S3_PUBLIC_ENDPOINT'),
    bucket: () => readBucket(env),
    region: () => readRegion(env),
    keys: () => checkKeys(env),
  })
  if (endpoint === undefined) return undefined
  return {
    kind: 's3',
    endpoint,
    ...(publicEndpoint === undefined ? {} : { publicEndpoint }),
    ...read,
    forcePathStyle: true,
  }
}

function readBucket(env: Environment): string {
  const bucket = optionalSetting(env, 'SLUICE_S3_BUCKET') ?? 'sluice'
  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
  if (/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) return bucket
  throw new SettingError(
    'SLUICE_S3_BUCKET',
    bucket,
    'allowed are 3 to 63 lower-case letters, digits, "." and "-", letters or digits at both ends',
  )
}

function readRegion(env: Environment): string {
  const region = optionalSetting(env, 'SLUICE_S3_REGION') ?? 'us-east-1'
  if (/^[\w-]{1,63}$/.test(region)) return region
  throw new SettingError('SLUICE_S3_REGION', region, 'allowed is the name of a region, such as us-east-1')
}

/** The AWS client reads the credentials itself; without one of the two it looks for others, for minutes. */
function checkKeys(env: Environment): void {
  const names = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']
  if (optionalSetting(env, 'SLUICE_S3_ENDPOINT') === undefined) return
  const given = names.filter((name) => secretSetting(env, name) !== undefined)
  if (given.length !== 1) return
  const missing = names.find((name) => !given.includes(name)) ?? ''
  throw new SettingError(missing, undefined, `it belongs to ${given[0]}`)
}
