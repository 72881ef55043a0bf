import type { RunnerErrorCode } from '@sluice/shared/runner-protocol'

/** A failure that is answered with `failed`. Anything else that is thrown is answered as `internal`, retryable. */
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
