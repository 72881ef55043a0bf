import { S3ServiceException } from '@aws-sdk/client-s3'
import { SettingError } from '@sluice/shared/settings'
import { StoreUnreachableError } from './object-store.ts'
import { describe, statusOf } from './s3-client.ts'

/** What a fault of the store is judged by. */
interface JudgedSettings {
  endpoint: string
  bucket: string
  region: string
}

/** An answer with a good status that is not S3's. */
export class NoS3AnswerError extends Error {
  override readonly name = 'NoS3AnswerError'
  constructor() {
    super('the answer is not that of an S3 server')
  }
}

const WRONG_KEY_ID = new Set(['InvalidAccessKeyId', 'InvalidToken', 'ExpiredToken', 'InvalidClientTokenId'])
const WRONG_SECRET = new Set(['SignatureDoesNotMatch'])
const WRONG_REGION = new Set([
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
])
/** What a connection says to something that is no HTTP server, or not one over TLS, or not a trusted one. */
const WRONG_PROTOCOL = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_INVALID_PROTOCOL'])
const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY/

/** Whether the server says that it has no such bucket. */
export function isMissingBucket(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NoSuchBucket'
}

/**
 * Which setting is wrong, by what the first call to the store met: a SettingError. StoreUnreachableError when
 * none need be: the server is away, and may come back.
 */
export function judgeS3Fault(error: unknown, settings: JudgedSettings): SettingError | StoreUnreachableError {
  const { endpoint, bucket, region } = settings
  if (error instanceof Error && error.name === 'CredentialsProviderError') {
    const wanted = 'set it and AWS_SECRET_ACCESS_KEY, or another source of the AWS credential chain'
    return new SettingError('AWS_ACCESS_KEY_ID', undefined, wanted)
  }
  const protocolFault = protocolFaultOf(error)
  if (protocolFault !== null) return new SettingError('SLUICE_S3_ENDPOINT', endpoint, protocolFault)
  if (!(error instanceof S3ServiceException)) return away(error, endpoint)
  const { name } = error
  const status = statusOf(error)
  if (status === null || status >= 500 || status === 408 || status === 429) return away(error, endpoint)
  if (WRONG_KEY_ID.has(name))
    return new SettingError('AWS_ACCESS_KEY_ID', '(hidden)', `${endpoint} does not know it (${name})`)
  if (WRONG_SECRET.has(name))
    return new SettingError('AWS_SECRET_ACCESS_KEY', '(hidden)', `${endpoint} refuses it (${name})`)
  if (WRONG_REGION.has(name) || status === 301)
    return new SettingError(
      'SLUICE_S3_REGION',
      region,
      `${endpoint} names another region (${describe(error)})`,
    )
  if (isMissingBucket(error))
    return new SettingError('SLUICE_S3_BUCKET', bucket, `${endpoint} has no such bucket`)
  if (name === 'InvalidBucketName')
    return new SettingError('SLUICE_S3_BUCKET', bucket, `${endpoint} allows no such name`)
  if (status === 401 || status === 403) {
    const reason = `${endpoint} refuses it to these AWS credentials (${name})`
    return new SettingError('SLUICE_S3_BUCKET', bucket, reason)
  }
  return new SettingError('SLUICE_S3_ENDPOINT', endpoint, `no S3 server answers there (HTTP ${status})`)
}

/** As `judgeS3Fault`, for a bucket that is missing and could not be made. */
export function judgeBucketFault(
  error: unknown,
  settings: JudgedSettings,
): SettingError | StoreUnreachableError {
  const fault = judgeS3Fault(error, settings)
  if (fault instanceof StoreUnreachableError || fault.setting === 'SLUICE_S3_REGION') return fault
  const reason = `the bucket is missing and could not be made (${describe(error)})`
  return new SettingError('SLUICE_S3_BUCKET', settings.bucket, reason)
}

function away(error: unknown, endpoint: string): StoreUnreachableError {
  return new StoreUnreachableError('SLUICE_S3_ENDPOINT', endpoint, `no answer from it (${describe(error)})`, {
    cause: error,
  })
}

/** Why what listens at the endpoint cannot be an S3 server; null when nothing says so. */
function protocolFaultOf(error: unknown): string | null {
  if (error instanceof NoS3AnswerError) return 'no S3 server answers there'
  if (!(error instanceof Error)) return null
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (UNTRUSTED.test(code)) return `its certificate is not trusted (${code}): see NODE_EXTRA_CA_CERTS`
  if (WRONG_PROTOCOL.has(code) || code.startsWith('HPE_'))
    return `what listens there does not speak ${code.startsWith('HPE_') ? 'HTTP' : 'TLS'} (${code})`
  // The SDK could not read the body as XML.
  return error instanceof SyntaxError || '$responseBodyText' in error ? 'no S3 server answers there' : null
}
