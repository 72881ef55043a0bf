import { reportSchema } from '@sluice/shared/attempt-contract'
import { isId } from '@sluice/shared/ids'
import type { RequestHandler } from 'express'
import { z } from 'zod'
import { applyReport } from '../attempts/apply-report.ts'
import type { Context } from '../context.ts'
import { scopedKey } from '../http/authentication.ts'
import { parseRequest } from '../http/parse-request.ts'

const paramsSchema = z.object({
  video: z.string().refine((id) => isId('video', id), 'a video id'),
  fence: z.coerce.number().int().min(1).max(2_147_483_647),
})

/** POST /internal/attempts/{video}/{fence} */
export function receiveReport(context: Context): RequestHandler<{ video: string; fence: string }> {
  return async (request, response) => {
    const key = await scopedKey(context, request, 'worker')
    const { video, fence } = parseRequest(paramsSchema, request.params)
    response.json(await applyReport(context, key.id, video, fence, parseRequest(reportSchema, request.body)))
  }
}
