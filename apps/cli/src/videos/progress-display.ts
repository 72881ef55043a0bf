import { progressBar, progressText } from './progress-text.ts'
import type { Terminal } from './terminal.ts'
import type { Video } from './video.ts'

export interface ProgressDisplay {
  show(video: Video): void
  /** Ends the redrawn line, so that the next output starts on a new one. */
  end(): void
}

const ERASE_LINE = '\r\u001b[K'
/** Without a TTY, progress is printed in steps of this many percent. */
const PLAIN_PERCENT = 10

export function createProgressDisplay(terminal: Terminal): ProgressDisplay {
  let lastMilestone = ''
  let isDrawn = false
  return {
    show(video) {
      if (terminal.isTTY) {
        terminal.write(`${ERASE_LINE}${progressBar(video, terminal.columns)}`)
        isDrawn = true
        return
      }
      const position = video.status === 'queued' ? video.queue_position : ''
      const milestone = `${video.status} ${Math.floor(video.progress / PLAIN_PERCENT)} ${position}`
      if (milestone !== lastMilestone) terminal.write(`${progressText(video)}\n`)
      lastMilestone = milestone
    },
    end() {
      if (isDrawn) terminal.write('\n')
      isDrawn = false
    },
  }
}
