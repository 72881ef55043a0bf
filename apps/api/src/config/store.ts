import { type Environment, optionalSetting, SettingError, urlSetting } from '@sluice/shared/settings'
import type { StoreSettings } from '../storage/open-store.ts'

const SECRET_CHARS_MIN = 32

/** Undefined when SLUICE_S3_ENDPOINT is not set: then objects are stored on disk. */
export function readS3(env: Environment): StoreSettings | undefined {
  const endpoint = urlSetting(env, 'SLUICE_S3_ENDPOINT', ['http', 'https'])
  if (endpoint === undefined) return undefined
  const publicEndpoint = urlSetting(env, 'SLUICE_S3_PUBLIC_ENDPOINT', ['http', 'https'])
  return {
    kind: 's3',
    endpoint,
    ...(publicEndpoint === undefined ? {} : { publicEndpoint }),
    bucket: optionalSetting(env, 'SLUICE_S3_BUCKET') ?? 'sluice',
    region: optionalSetting(env, 'SLUICE_S3_REGION') ?? 'us-east-1',
    forcePathStyle: true,
  }
}

/**
 * SLUICE_SECRET, which signs the URLs of the disk store; undefined when it is not set. API processes that
 * serve the same objects need the same one.
 */
export function readUrlSecret(env: Environment): string | undefined {
  const secret = optionalSetting(env, 'SLUICE_SECRET')
  if (secret === undefined || secret.length >= SECRET_CHARS_MIN) return secret
  throw new SettingError(
    'SLUICE_SECRET',
    `${secret.length} characters`,
    `at least ${SECRET_CHARS_MIN} random characters`,
  )
}
