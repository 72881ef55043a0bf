import { isDone, type Video } from './video.ts'

const BAR_WIDTH = 30

/** `23/50 steps, 0:12 left, 6.65 USD held`, or the position in the queue. */
export function progressText(video: Video): string {
  const parts = [describe(video)]
  if (video.eta_seconds && !isDone(video)) {
    parts.push(`${clock(video.eta_seconds.p50)} left`)
  }
  if (video.cost) parts.push(costText(video))
  return parts.join(', ')
}

/** The same with a bar before it, at most `columns` wide. */
export function progressBar(video: Video, columns: number): string {
  const filled = Math.round((Math.min(Math.max(video.progress, 0), 100) / 100) * BAR_WIDTH)
  return `  ${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${progressText(video)}`.slice(
    0,
    Math.max(columns - 1, 1),
  )
}

/** `12.5 USD charged`. */
export function costText(video: Video): string {
  return video.cost ? `${video.cost.amount} ${video.cost.currency} ${video.cost.state}` : 'no cost stated'
}

/** `415800 tokens (8316 x 50 steps)`. */
export function usageText(video: Video): string {
  const { usage } = video
  return usage
    ? `${usage.generated_tokens} tokens (${usage.video_tokens} x ${usage.steps} steps)`
    : 'no usage stated'
}

function describe(video: Video): string {
  if (video.status === 'queued') {
    return typeof video.queue_position === 'number' ? `queued, position ${video.queue_position}` : 'queued'
  }
  if (video.status !== 'in_progress') return video.status
  const steps = video.usage?.steps
  return steps === undefined
    ? `${video.progress} %`
    : `${Math.floor((video.progress / 100) * steps)}/${steps} steps`
}

/** Seconds as m:ss. */
export function clock(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
