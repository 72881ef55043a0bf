import { type FailureCode, RUNNER_FAILURES } from '@sluice/shared/attempt-contract'
import type { RunnerReply } from '@sluice/shared/runner-protocol'
import type { RunnerEnd } from '../runner/runner-process.ts'

/** Why an attempt failed; a retryable one goes back to the gate. */
export interface Failure {
  code: FailureCode
  message: string
  retryable: boolean
}

type FailedReply = Extract<RunnerReply, { type: 'failed' }>

/** What a runner's `failed` means for its attempt. `isResumed`: the runner was given a checkpoint. */
export function failureOfReply({ code, message, retryable }: FailedReply, isResumed: boolean): Failure {
  // The checkpoint is the one part of the input that the API cannot have checked: without it the next attempt
  // can work.
  if (code === 'bad_input' && isResumed) return { code: 'checkpoint_unusable', message, retryable: true }
  // Weights that are gone here may be there on another host; the API counts how often that is tried.
  return { code, message, retryable: code === 'model_missing' || (code !== 'bad_input' && retryable) }
}

/** Whether it may be the runner that fails, and would with any other video. */
export function isOfRunner({ code, retryable }: Failure): boolean {
  return retryable && RUNNER_FAILURES.includes(code)
}

/** What the end of a runner means for the attempts it was working on. */
export function failureOfEnd({ why, message }: RunnerEnd): Failure {
  const code = why === 'stalled' ? 'stalled' : why === 'broke_protocol' ? 'internal' : 'runner_exited'
  return { code, message, retryable: true }
}
