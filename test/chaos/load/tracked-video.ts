import type { Clip } from './clips.ts'

/** What a customer did with a video, beside waiting for it. */
export type Plan = 'wait' | 'cancel' | 'delete' | 'retry'

/** A video that was accepted, and all that its customer saw of it. */
export interface TrackedVideo {
  id: string
  accountName: string
  clip: Clip
  plan: Plan
  submittedAtMs: number
  endedAtMs: number | null
  /** The newest answer about it; null = deleted. */
  status: 'queued' | 'in_progress' | 'completed' | 'failed' | 'deleted'
  errorCode: string | null
  progress: number
  /** How often work was seen to be lost and done again. */
  setBacks: number
  /** The charge once it has ended. */
  charged: string | null
  /** What became of its promise; null = nothing was promised. */
  promise: string | null
  /** Everything that must never happen and did: an end or a charge that changed. */
  violations: string[]
}

/** The part of an answer that is followed. */
interface SeenVideo {
  status: 'queued' | 'in_progress' | 'completed' | 'failed'
  progress: number
  error: { code: string } | null
  cost: { amount: string; state: string }
  promise: { state: string } | null
}

export function hasEnded(video: TrackedVideo): boolean {
  return video.status === 'completed' || video.status === 'failed' || video.status === 'deleted'
}

/** Takes note of an answer, and of what it takes back. */
export function note(video: TrackedVideo, seen: SeenVideo, nowMs: number): void {
  const isOver = seen.status === 'completed' || seen.status === 'failed'
  if (hasEnded(video)) {
    if (video.status !== seen.status) video.violations.push(`${video.status} became ${seen.status}`)
    if (video.charged !== seen.cost.amount)
      video.violations.push(`a charge of ${video.charged} became ${seen.cost.amount}`)
    return
  }
  // Honest: what a dead worker had not saved is done again.
  if (seen.progress < video.progress) video.setBacks += 1
  video.status = seen.status
  video.progress = seen.progress
  if (!isOver) return
  video.endedAtMs = nowMs
  video.errorCode = seen.error?.code ?? null
  video.charged = seen.cost.amount
  video.promise = seen.promise?.state ?? null
  if (seen.cost.state === 'held') video.violations.push(`${seen.status} while its money is still held`)
}
