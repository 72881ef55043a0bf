import { costMicros } from '@sluice/shared/money'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Context } from '../context.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import type { Forecast } from '../forecast/forecast.ts'
import type { Forecaster, NewVideo } from '../forecast/forecaster.ts'
import { HangsError } from '../forecast/hang-guard.ts'
import type { Purpose } from '../forecast/simulation-turns.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { inTurn } from '../places.ts'
import { multiplierNow, readFlexMarket } from '../prices/flex-market.ts'
import { type Priced, priceVideo } from '../prices/price.ts'
import type { PromisedTime } from '../videos/video-store.ts'
import { type CreateRequest, expiresSecondsOf, serviceTierOf } from './create-request.ts'
import type { SizedGeneration } from './generation-of.ts'
import { type KeyStanding, newHead, readStanding } from './new-head.ts'

/** Tiers whose videos can be promised a time. Flex makes room for the others, so it is promised none. */
const PROMISED_TIERS = ['standard', 'priority'] as const satisfies ServiceTier[]

/** The time that a request asks to be promised. */
interface AskedTime {
  field: 'deliver_by' | 'max_wait'
  given: number
  /** From now on. */
  waitMs: number
}

type TimeRequest = Pick<CreateRequest, 'deliver_by' | 'max_wait' | 'service_tier' | 'execution_expires_after'>

/** Whether a request asks to be promised a time. */
export function asksForPromise(request: Pick<CreateRequest, 'deliver_by' | 'max_wait'>): boolean {
  return request.deliver_by !== undefined || request.max_wait !== undefined
}

/** Throws SluiceError for a time that is never promised, whatever the queue. */
export function checkAskedTime(request: TimeRequest, nowMs: number): void {
  const asked = askedTimeOf(request, nowMs)
  if (asked === null) return
  const { field, given, waitMs } = asked
  if (field === 'deliver_by' && request.max_wait !== undefined)
    throw invalidValue('max_wait', request.max_wait, 'nothing beside deliver_by; give one of them')
  if (serviceTierOf(request) === 'flex') {
    const tiers = PROMISED_TIERS.join(' or ')
    throw invalidValue(
      field,
      given,
      `nothing with service_tier flex, which is promised no time; ask for ${tiers}`,
    )
  }
  if (waitMs <= 0) throw invalidValue(field, given, 'a time to come, in seconds since the Unix epoch')
  const expiresSeconds = expiresSecondsOf(request)
  if (waitMs > expiresSeconds * 1_000) {
    throw invalidValue(
      field,
      given,
      `a time before the video expires, ${expiresSeconds} s from now (execution_expires_after)`,
    )
  }
}

function askedTimeOf(request: TimeRequest, nowMs: number): AskedTime | null {
  const { deliver_by: deliverBy, max_wait: maxWait } = request
  if (deliverBy !== undefined)
    return { field: 'deliver_by', given: deliverBy, waitMs: deliverBy * 1_000 - nowMs }
  return maxWait === undefined ? null : { field: 'max_wait', given: maxWait, waitMs: maxWait * 1_000 }
}

/** What a tier would promise. */
interface TierOutlook {
  tier: ServiceTier
  priced: Priced
  /** The video as the gate would see it. */
  head: NewVideo
  forecast: Forecast | null
  /** Nine of ten such videos come in time. */
  canBeKept: boolean
  /** What is given back when the promise of a completed video is missed. */
  rebateMicros: bigint
}

/** Whether a time can be promised. */
export interface PromiseOutlook {
  deliverBy: Date
  /** By price, the cheapest first. */
  tiers: readonly TierOutlook[]
}

/** Promises need forecasts. */
export type PromiseContext = Context & {
  forecaster: Pick<Forecaster, 'ofPromised' | 'notePromised' | 'endPromising'>
}

/**
 * Whether the time that a request asks for can be promised, tier by tier; null when it asks for none. Throws
 * SluiceError `promises_off` when the account is promised no times, and `unavailable` when no forecast comes.
 */
export async function lookAtPromise(
  context: PromiseContext,
  key: AccountKey,
  request: CreateRequest,
  sized: SizedGeneration,
): Promise<PromiseOutlook | null> {
  const asked = askedTimeOf(request, context.clock.now())
  if (asked === null) return null
  const standing = await standingWithPromises(context, key, asked)
  const lateMultiplierBps = await readLateMultiplier(context)
  const question = { key, standing, request, sized, asked, lateMultiplierBps }
  const priced = await Promise.all(PROMISED_TIERS.map((tier) => priceTier(context, question, tier)))
  const tiers = await lookAtPriced(context, question, { tiers: priced, purpose: 'look' })
  const ascending = tiers.toSorted((a, b) => Number(a.priced.costMicros - b.priced.costMicros))
  return { deliverBy: new Date(context.clock.now() + asked.waitMs), tiers: ascending }
}

/** Throws SluiceError `promises_off` when the account is promised no times. */
async function standingWithPromises(
  { db }: PromiseContext,
  key: AccountKey,
  { field }: AskedTime,
): Promise<KeyStanding> {
  const standing = await readStanding(db, key)
  if (standing.promises) return standing
  throw new SluiceError(
    'promises_off',
    'This account is promised no times: the operator of this service has not turned that on for it.',
    field,
  )
}

interface TierQuestion {
  key: AccountKey
  standing: KeyStanding
  request: CreateRequest
  sized: SizedGeneration
  asked: AskedTime
  lateMultiplierBps: number
}

/** What a video costs in the end, at most, when its promise is missed: as much as flex does now. */
async function readLateMultiplier({ db, config }: PromiseContext): Promise<number> {
  return multiplierNow(await readFlexMarket(db, config.tierMultiplierBps.flex))
}

type PricedTier = Pick<TierOutlook, 'tier' | 'priced' | 'head'>

/** What each of these tiers would promise, at one moment. */
async function lookAtPriced(
  { forecaster }: PromiseContext,
  { asked, lateMultiplierBps }: TierQuestion,
  { tiers, purpose }: { tiers: readonly PricedTier[]; purpose: Purpose },
): Promise<TierOutlook[]> {
  const { field, waitMs } = asked
  const heads = tiers.map(({ head }) => head)
  const forecasts = await forecaster.ofPromised(heads, purpose).catch((error: unknown) => {
    if (!(error instanceof HangsError)) throw error
    throw new SluiceError(
      'unavailable',
      'When a video would come cannot be said right now, so none is promised a time. Ask again in a moment.',
      field,
    )
  })
  return tiers.map((of, index) => {
    const forecast = forecasts[index] ?? null
    const eta = forecast?.etaSeconds ?? null
    const canBeKept = eta !== null && eta.p90 * 1_000 <= waitMs
    return { ...of, forecast, canBeKept, rebateMicros: rebateOf(of.priced, lateMultiplierBps) }
  })
}

async function priceTier(
  { db, config }: PromiseContext,
  { key, standing, request, sized }: TierQuestion,
  tier: ServiceTier,
): Promise<PricedTier> {
  const { generation, model, resolution } = sized
  const terms = { tier, maxPriceMicros: null }
  const priced = await priceVideo(db, { ...generation, model, resolution }, terms, config)
  const head = newHead({ key, standing, request, tier, sized, videoTokens: priced.videoTokens })
  return { tier, priced, head }
}

function rebateOf(
  { tokens, priceMicrosPerMillion, costMicros: chargeMicros }: Priced,
  lateMultiplierBps: number,
): bigint {
  const lateMicros = costMicros(tokens, priceMicrosPerMillion, BigInt(lateMultiplierBps))
  return lateMicros < chargeMicros ? chargeMicros - lateMicros : 0n
}

/**
 * Promises a submission the time that it asks for: what is frozen into its video, or null when it asks for
 * none. Forecasts that are made from now on know of the promise until the forecaster hears how the submission
 * ended. Throws SluiceError `cannot_be_promised`, `promises_off`, or `unavailable` when no forecast comes or
 * more is promised at once than can be counted.
 */
export async function promiseTime(
  context: PromiseContext,
  key: AccountKey,
  { videoId, request, ...sized }: SizedGeneration & { videoId: string; request: CreateRequest },
): Promise<PromisedTime | null> {
  const asked = askedTimeOf(request, context.clock.now())
  if (asked === null) return null
  const standing = await standingWithPromises(context, key, asked)
  const tier = serviceTierOf(request)
  const lateMultiplierBps = await readLateMultiplier(context)
  const question = { key, standing, request, sized, asked, lateMultiplierBps }
  const priced = await priceTier(context, question, tier)
  const state = await inTurn(context.places.promises, key.accountId, async () => {
    const [outlook] = await lookAtPriced(context, question, { tiers: [priced], purpose: 'promise' })
    if (outlook?.canBeKept !== true) return 'cannot be kept'
    return context.forecaster.notePromised(videoId, outlook.head) ? 'noted' : 'too many'
  })
  if (state === 'cannot be kept') throw await cannotBePromised(context, key, { request, sized, asked })
  if (state === 'too many') {
    throw new SluiceError(
      'unavailable',
      'Too many videos are promised a time at this moment. Ask again in a few seconds.',
      asked.field,
    )
  }
  return {
    deliverBy: request.deliver_by === undefined ? null : new Date(request.deliver_by * 1_000),
    withinSeconds: request.max_wait ?? null,
    missedMultiplierBps: lateMultiplierBps,
  }
}

async function cannotBePromised(
  context: PromiseContext,
  key: AccountKey,
  { request, sized, asked }: { request: CreateRequest; sized: SizedGeneration; asked: AskedTime },
): Promise<SluiceError> {
  const outlook = await lookAtPromise(context, key, request, sized)
  const tier = serviceTierOf(request)
  const p90 = outlook?.tiers.find((candidate) => candidate.tier === tier)?.forecast?.etaSeconds?.p90
  const now =
    p90 === undefined
      ? 'nothing is known of when it would come'
      : `it would come within ${Math.ceil(p90)} s in nine cases of ten`
  const other = outlook?.tiers.find(({ canBeKept }) => canBeKept)
  const remedy = other === undefined ? 'Ask for a later time.' : `service_tier ${other.tier} can promise it.`
  return new SluiceError(
    'cannot_be_promised',
    `${asked.field} is ${asked.given}: with service_tier ${tier} ${now}. ${remedy}`,
    asked.field,
  )
}
