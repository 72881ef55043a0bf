import { isCancelled, isDone, type Video } from './video.ts'

const BAR_WIDTH = { max: 30, min: 5 } as const

/** `23/50 steps, 0:12 left, 6.65 USD held`, or the position in the queue. */
export function progressText(video: Video): string {
  return progressParts(video).join(', ')
}

/**
 * The same with a bar before it, in one line of a terminal: narrower than `columns`, since a full line would
 * wrap. What does not fit goes in this order: the bar, the cost, what was done; the time left stays.
 */
export function progressBar(video: Video, columns: number): string {
  const room = Math.max(columns - 1, 1)
  const parts = progressParts(video)
  const left = leftText(video)
  const texts = [parts, parts.slice(0, left === null ? 1 : 2), left === null ? [] : [left]].map((some) =>
    some.join(', '),
  )
  const text = texts.find((candidate) => candidate.length + 2 <= room) ?? texts.at(-1) ?? ''
  const width = Math.min(room - text.length - 3, BAR_WIDTH.max)
  if (width < BAR_WIDTH.min) return `  ${text}`.slice(0, room)
  const filled = Math.round((Math.min(Math.max(video.progress, 0), 100) / 100) * width)
  return `  ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${text}`
}

/** `12.5 USD charged`. */
export function costText(video: Video): string {
  const { cost, promise } = video
  if (cost === undefined) return 'no cost stated'
  const text = `${cost.amount} ${cost.currency} ${cost.state}`
  if (promise?.state !== 'missed' || Number(promise.credit.amount) === 0) return text
  return `${text}, ${promise.credit.amount} given back for a missed promise`
}

/** `415800 tokens (8316 x 50 steps)`. */
export function usageText(video: Video): string {
  const { usage } = video
  return usage
    ? `${usage.generated_tokens} tokens (${usage.video_tokens} x ${usage.steps} steps)`
    : 'no usage stated'
}

/** A length that the API states as a decimal number of seconds, to the hundredth: `3.04 s`. */
export function secondsText(seconds: string): string {
  const value = Number(seconds)
  return Number.isFinite(value) ? `${Number(value.toFixed(2))} s` : `${seconds} s`
}

/** `2027-01-31 22:00:00 UTC`, of seconds since the Unix epoch. */
export function utcText(unixSeconds: number): string {
  return `${new Date(unixSeconds * 1_000).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** Seconds as m:ss, or h:mm:ss. */
export function clock(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0)
  const two = (count: number) => String(count).padStart(2, '0')
  const minutes = Math.floor(whole / 60)
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`
}

function progressParts(video: Video): string[] {
  const left = leftText(video)
  return [describe(video), ...(left === null ? [] : [left]), ...(video.cost ? [costText(video)] : [])]
}

function leftText(video: Video): string | null {
  return video.eta_seconds && !isDone(video) ? `${clock(video.eta_seconds.p50)} left` : null
}

function describe(video: Video): string {
  if (video.status === 'queued') {
    if (video.waits_for === 'price') return 'queued, waits until flex costs less'
    if (video.waits_for === 'not_before' && video.not_before != null)
      return `queued, waits for ${utcText(video.not_before)}`
    return typeof video.queue_position === 'number' ? `queued, position ${video.queue_position}` : 'queued'
  }
  if (isCancelled(video)) return 'cancelled'
  if (video.status !== 'in_progress') return video.status
  const steps = video.usage?.steps
  return steps === undefined
    ? `${Math.floor(video.progress)} %`
    : `${Math.floor((video.progress / 100) * steps)}/${steps} steps`
}
