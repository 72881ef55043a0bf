import { progressBar, progressText } from './progress-text.ts'
import type { Video } from './video.ts'

/** Where progress goes: a terminal redraws one line, anything else gets a line when something changed. */
export interface Terminal {
  write(text: string): void
  isTTY: boolean
  columns: number
}

export interface ProgressDisplay {
  show(video: Video): void
  /** Ends the redrawn line, so that what follows stands on its own. */
  end(): void
}

const ERASE_LINE = '\r\u001b[K'
/** Without a terminal, progress is told in steps of this many percent. */
const PLAIN_PERCENT = 10

export function createProgressDisplay(terminal: Terminal): ProgressDisplay {
  let lastTold = ''
  let drawn = false
  return {
    show(video) {
      if (terminal.isTTY) {
        terminal.write(`${ERASE_LINE}${progressBar(video, terminal.columns)}`)
        drawn = true
        return
      }
      const milestone = `${video.status} ${Math.floor(video.progress / PLAIN_PERCENT)} ${video.status === 'queued' ? video.queue_position : ''}`
      if (milestone !== lastTold) terminal.write(`${progressText(video)}\n`)
      lastTold = milestone
    },
    end() {
      if (drawn) terminal.write('\n')
      drawn = false
    },
  }
}
