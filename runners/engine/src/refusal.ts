import { RunnerFailure } from '@sluice/runner/runner-failure'
import { z } from 'zod'
import { EngineAwayError } from './engine-error.ts'
import type { EngineAnswer } from './engine-http.ts'

/** Which of the two settings holds it is the operator's to know. */
const KEY = 'the key (SLUICE_ENGINE_KEY or SLUICE_ENGINE_KEY_FILE)'
/** Statuses that say: not now. */
const PASSING = [408, 425, 429]
/** Statuses that say: not this request. */
const OF_INPUT = [400, 413, 415, 422]

/** A submission under this idempotency key was for something else, or for a job that has been deleted. */
export class KeyTakenError extends Error {
  override name = 'KeyTakenError'
}

/** What a refused submission means. */
export function refusedSubmission(answer: EngineAnswer): RunnerFailure | EngineAwayError | KeyTakenError {
  const { status, words, body } = answer
  if (OF_INPUT.includes(status))
    return new RunnerFailure('bad_input', `the engine refuses the video: ${words}`)
  const error = z.looseObject({ error: z.looseObject({ code: z.string() }) }).safeParse(body).data?.error
  if (status === 409 && error?.code === 'idempotency_conflict') return new KeyTakenError(words)
  return awayBy(answer)
}

/** What any other answer means that is not the one asked for: the engine does no work for us now. */
export function awayBy({ method, status, words }: EngineAnswer): EngineAwayError {
  const said = `${method}: HTTP ${status} ${words}`
  const away = (message: string) => new EngineAwayError(message, { mayPass: false })
  if (status === 401 || status === 403) return away(`${KEY} is refused by the engine: ${said}`)
  if (status === 402) return away(`the engine's account of ${KEY} cannot pay: ${said}`)
  if (status === 404 || status === 405) return away(`SLUICE_ENGINE_URL: there is no /v1/videos: ${said}`)
  if (status >= 300 && status < 400)
    return away(`SLUICE_ENGINE_URL redirects (HTTP ${status}): allowed is the URL that it redirects to`)
  if (status >= 200 && status < 300)
    return away(`SLUICE_ENGINE_DIALECT: the engine's answer describes no job: ${said}`)
  const mayPass = PASSING.includes(status) || status >= 500
  return new EngineAwayError(`the engine takes no work: ${said}`, { mayPass, isRefusal: status === 429 })
}
