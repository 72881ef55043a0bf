import { heartbeatSchema } from '@sluice/shared/attempt-contract'
import type { RequestHandler } from 'express'
import { applyHeartbeat } from '../attempts/apply-heartbeat.ts'
import type { Context } from '../context.ts'
import { scopedKey } from '../http/authentication.ts'
import { parseRequest } from '../http/parse-request.ts'

/** POST /internal/heartbeat */
export function receiveHeartbeat(context: Context): RequestHandler {
  return async (request, response) => {
    const key = await scopedKey(context, request, 'worker')
    response.json(await applyHeartbeat(context, key.id, parseRequest(heartbeatSchema, request.body)))
  }
}
