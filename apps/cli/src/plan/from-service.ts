import { z } from 'zod'
import type { HttpClient } from '../connection/http-client.ts'
import { PlanError } from './faults.ts'

const planSchema = z.looseObject({
  object: z.literal('plan'),
  mix: z.array(z.unknown()),
  pools: z.array(z.unknown()),
})

/**
 * The plan of a running service: its demand and mix of the last days, and its pools, paces, prices and
 * accounts as they are now. Throws ApiError, and PlanError when there is nothing to plan with.
 */
export async function planOfService(http: HttpClient, days: number): Promise<Record<string, unknown>> {
  const plan = await http.call(planSchema, `/admin/plan?days=${days}`)
  if (plan.mix.length === 0)
    throw new PlanError(
      `nobody has submitted a video in the last ${days} days: there is no demand to plan for`,
    )
  if (plan.pools.length === 0)
    throw new PlanError('no worker is connected: the pools of a plan are those that are there now')
  return plan
}
