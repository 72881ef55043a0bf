import type { Connection } from '../connection/find-connection.ts'
import { INTERRUPTED_EXIT } from '../exit-codes.ts'
import { clock, secondsText, utcText } from './progress-text.ts'
import type { Terminal } from './terminal.ts'
import type { Quote, VideoRequest } from './video.ts'
import { VideoClient, type VideoClientTimings } from './video-client.ts'

export interface QuoteOptions {
  connection: Connection
  request: VideoRequest
  /** Print the quote as JSON instead of words. */
  isJson: boolean
  terminal: Terminal
  /** Aborted by Ctrl-C. */
  stop: AbortSignal
  timings?: VideoClientTimings
}

/**
 * Asks what a video would cost and prints it. Returns the exit code: 0, 1 when the video would not be
 * accepted, 130 after Ctrl-C. Throws ApiError.
 */
export async function quote(options: QuoteOptions): Promise<number> {
  const { connection, request, stop, terminal, timings } = options
  try {
    const quoted = await new VideoClient(connection, {
      signal: stop,
      notice: terminal.notice,
      timings,
    }).quote(request)
    terminal.write(options.isJson ? `${JSON.stringify(quoted)}\n` : quoteText(quoted))
    const isPromised = quoted.promise == null || quoted.promise.can_be_kept
    return quoted.affordable && quoted.within_limits && isPromised ? 0 : 1
  } catch (error) {
    if (stop.aborted) return INTERRUPTED_EXIT
    throw error
  }
}

/** The quote in a few lines: what, how much, how long, and what stands against it. */
function quoteText(quoted: Quote): string {
  const { usage, cost, price } = quoted
  const tier = price.multiplier === '1' ? '' : ` x ${price.multiplier}`
  const tokens = `${usage.generated_tokens} tokens (${usage.video_tokens} x ${usage.steps} steps)`
  const perMillion = `${price.per_million_tokens}${tier} ${cost.currency} per million`
  const lines = [
    `${quoted.model}, ${settingsText(quoted)}`,
    `${tokens} at ${perMillion}: ${cost.amount} ${cost.currency}`,
    ...(quoted.flex == null ? [] : [flexText(quoted.flex)]),
    timeText(quoted),
    ...(quoted.promise == null ? [] : promiseLines(quoted.promise)),
    ...(quoted.affordable ? [] : ['the balance does not cover it']),
    ...(quoted.within_limits ? [] : [limitsText(quoted.largest)]),
  ]
  return `${lines.join('\n')}\n`
}

/** What flex costs now, and when it may be dispatched. */
function flexText({ price_per_million, cost, waits_for, starts_at }: NonNullable<Quote['flex']>): string {
  const now = `flex is at ${price_per_million} ${cost.currency} per million now`
  if (waits_for === null) return `${now}: ${cost.amount} ${cost.currency} if it is dispatched at that`
  if (starts_at === null) return `${now}: it waits until flex costs less`
  return `${now}: it waits for ${utcText(starts_at)}`
}

/** What each tier would promise, and what it is worth. */
function promiseLines({ deliver_by, service_tier, tiers }: NonNullable<Quote['promise']>): string[] {
  const by = `by ${utcText(deliver_by)}`
  const lines = tiers.map((tier) => {
    const { cost, credit_if_missed: credit } = tier
    const answer = tier.can_be_kept ? 'can be promised' : 'cannot be promised'
    const price = `${cost.amount} ${cost.currency}, of which ${credit.amount} is given back if it is missed`
    return `${by} ${answer} with --tier ${tier.service_tier}: ${price}`
  })
  return service_tier === null ? [...lines, 'no tier can promise it now'] : lines
}

function limitsText(largest: Quote['largest']): string {
  if (largest === null) return 'more than --max-tokens or --max-cost allows, and so is anything smaller'
  const { usage, cost } = largest
  const price = `${usage.generated_tokens} tokens, ${cost.amount} ${cost.currency}`
  return `more than --max-tokens or --max-cost allows; they allow ${settingsText(largest)}: ${price}`
}

function settingsText(settings: {
  size: string
  seconds: string
  num_frames: number
  num_steps: number
}): string {
  const { size, num_frames, seconds, num_steps } = settings
  return `${size}, ${num_frames} frames (${secondsText(seconds)}), ${num_steps} steps`
}

function timeText({ queue_position, eta_seconds, flex }: Quote): string {
  if (flex?.waits_for != null && eta_seconds !== null) return `done in about ${clock(eta_seconds.p50)}`
  const place = queue_position === null ? 'behind a long queue' : `position ${queue_position}`
  return eta_seconds === null
    ? `${place}, time unknown`
    : `${place}, done in about ${clock(eta_seconds.p50)} (nine in ten by ${clock(eta_seconds.p90)})`
}
