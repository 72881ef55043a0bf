import type { Connection } from '../connection/find-connection.ts'
import { INTERRUPTED_EXIT } from './generate.ts'
import type { Terminal } from './progress-display.ts'
import { clock } from './progress-text.ts'
import type { Quote, VideoRequest } from './video.ts'
import { createVideoClient, TIMINGS, type VideoClientTimings } from './video-client.ts'

export interface QuoteOptions {
  connection: Connection
  request: VideoRequest
  /** Print the quote as JSON instead of words. */
  json: boolean
  terminal: Terminal
  /** Aborted by Ctrl-C. */
  stop: AbortSignal
  timings?: VideoClientTimings
}

/** Asks what a video would cost. Answers the exit code: 0, 1 when it would not be taken, 130 after Ctrl-C. Throws ApiError. */
export async function quote(options: QuoteOptions): Promise<number> {
  try {
    const quoted = await createVideoClient(
      options.connection,
      options.stop,
      options.timings ?? TIMINGS,
    ).quote(options.request)
    options.terminal.write(options.json ? `${JSON.stringify(quoted)}\n` : quoteText(quoted))
    return quoted.affordable && quoted.within_limits ? 0 : 1
  } catch (error) {
    if (options.stop.aborted) return INTERRUPTED_EXIT
    throw error
  }
}

/** The quote in a few lines: what, how much, how long, and what stands against it. */
export function quoteText(quoted: Quote): string {
  const { usage, cost, price, largest } = quoted
  const tier = price.multiplier === '1' ? '' : ` x ${price.multiplier}`
  const lines = [
    `${quoted.model}, ${settingsText(quoted)}`,
    `${usage.generated_tokens} tokens (${usage.video_tokens} x ${usage.steps} steps) at ${price.per_million_tokens}${tier} ${cost.currency} per million: ${cost.amount} ${cost.currency}`,
    timeText(quoted),
  ]
  if (!quoted.affordable) lines.push('the balance does not cover it')
  if (!quoted.within_limits) {
    lines.push(
      largest === null
        ? 'more than --max-tokens or --max-cost allows, and so is anything smaller'
        : `more than --max-tokens or --max-cost allows; they allow ${settingsText(largest)}: ${largest.usage.generated_tokens} tokens, ${largest.cost.amount} ${largest.cost.currency}`,
    )
  }
  return `${lines.join('\n')}\n`
}

function settingsText(settings: {
  size: string
  seconds: string
  num_frames: number
  num_steps: number
}): string {
  return `${settings.size}, ${settings.num_frames} frames (${settings.seconds} s), ${settings.num_steps} steps`
}

function timeText({ queue_position, eta_seconds }: Quote): string {
  const place = queue_position === null ? 'behind a long queue' : `position ${queue_position}`
  return eta_seconds === null
    ? `${place}, time unknown`
    : `${place}, done in about ${clock(eta_seconds.p50)} (nine in ten by ${clock(eta_seconds.p90)})`
}
