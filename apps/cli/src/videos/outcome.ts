import { CANCELLED_EXIT } from '../exit-codes.ts'
import { costText, usageText } from './progress-text.ts'
import type { Terminal } from './terminal.ts'
import { failureText, isCancelled, isDone, type Video } from './video.ts'

/** Says how a video that made no file ended, and what it cost. Returns the exit code. */
export function reportOutcome(video: Video, terminal: Terminal): number {
  terminal.write(`${outcomeText(video)}\n${usageText(video)}, ${costText(video)}\n`)
  return outcomeExit(video)
}

/** 0 completed, 3 cancelled, 1 anything else. */
export function outcomeExit(video: Video): number {
  if (video.status === 'completed') return 0
  return isCancelled(video) ? CANCELLED_EXIT : 1
}

function outcomeText(video: Video): string {
  if (!isDone(video)) return `not ended yet: ${video.status}`
  if (isCancelled(video)) return 'cancelled'
  return video.status === 'completed' ? 'completed' : `failed: ${failureText(video)}`
}

/** The command that fetches a video's file later, or sees how far it is. */
export function laterText(id: string, output: string | null): string {
  return `npx sluice watch ${id} -o ${output ?? `${id}.mp4`}`
}
