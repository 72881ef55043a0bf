import { fstatSync, writeSync } from 'node:fs'
import type { RunnerReply } from '@sluice/shared/runner-protocol'

/** Milliseconds to wait before a full pipe is tried again. */
const FULL_PIPE_MS = 2
const sleepCell = new Int32Array(new SharedArrayBuffer(4))

/** Sends one reply as one line. */
export type SendReply = (reply: RunnerReply) => void

/**
 * Whether this process was started with `fd`. Node's own event loop takes the lowest free numbers, so being
 * open is not enough: only pipes, sockets, files and terminals count.
 */
export function isReplyChannel(fd: number): boolean {
  try {
    const stats = fstatSync(fd)
    if (!(stats.isFIFO() || stats.isSocket() || stats.isFile() || stats.isCharacterDevice())) return false
    writeSync(fd, '')
    return true
  } catch {
    return false
  }
}

/**
 * Replies as JSON lines on `fd`. Each line is written whole before `send` returns, so none is reordered or
 * lost when the reader is slow. `onReaderGone` is called when nobody reads any more.
 */
export function openReplyChannel(fd: number, onReaderGone: () => void): SendReply {
  return (reply) => {
    const bytes = Buffer.from(`${JSON.stringify(reply)}\n`)
    let written = 0
    while (written < bytes.length) {
      try {
        written += writeSync(fd, bytes, written)
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined
        if (code === 'EAGAIN') Atomics.wait(sleepCell, 0, 0, FULL_PIPE_MS)
        else if (code === 'EPIPE' || code === 'ECONNRESET' || code === 'ENOTCONN') return onReaderGone()
        else throw error
      }
    }
  }
}
