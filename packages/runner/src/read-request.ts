import { type RunnerRequest, runnerRequestSchema } from '@sluice/shared/runner-protocol'
import { z } from 'zod'

/** A line that was understood, or why it was not and, if it says so, which video it is about. */
export type ReadRequest = { request: RunnerRequest } | { request: null; why: string; id: string | undefined }

/** Reads one line of the worker. Never throws. */
export function readRequest(line: string): ReadRequest {
  const value = parseJson(line)
  const parsed = runnerRequestSchema.safeParse(value)
  if (parsed.success) return { request: parsed.data }
  return {
    request: null,
    why: value === undefined ? 'not JSON' : z.prettifyError(parsed.error).replaceAll('\n', ' '),
    id: z.looseObject({ id: z.string() }).safeParse(value).data?.id,
  }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
