import type { RunnerErrorCode } from '@sluice/shared/runner-protocol'

/** Becomes the reply `failed`. Anything else that is thrown becomes `internal`, retryable. */
export class RunnerFailure extends Error {
  override name = 'RunnerFailure'
  readonly code: RunnerErrorCode
  readonly retryable: boolean
  constructor(code: RunnerErrorCode, message: string, retryable = false) {
    super(message)
    this.code = code
    this.retryable = retryable
  }
}
