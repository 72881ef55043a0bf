import type { Failure } from './failure.ts'

/**
 * What Node and the C library call it: a disk that is full, read-only or broken, too many open files, no
 * memory. A runner reports no more than such a text.
 */
const HOST_WORDS = new RegExp(
  [
    String.raw`\b(ENOSPC|EDQUOT|EROFS|EIO|EMFILE|ENFILE|ENOMEM)\b`,
    'no space left on device',
    'disk quota exceeded',
    'read-only file system',
    'input/output error',
    'too many open files',
    'cannot allocate memory',
  ].join('|'),
  'i',
)
/** What another server says of itself, such as a store whose own disk is full. */
const REFUSAL = /\b(GET|PUT|POST|DELETE): HTTP \d{3} .*/s
/** Says something about the host only where it is about a folder that is the worker's own. */
const DENIED_WORDS = /\bEACCES\b|permission denied/i

/**
 * The failure as it is reported: `host_failed` where the host is at fault, whoever met it. No video is blamed
 * for that, not even one that the runner refused. `workDir`: where attempts have their files.
 */
export function blameHost(failure: Failure, workDir: string): Failure {
  const { code, message } = failure
  // A device's memory is no part of the host, nor is another server, whatever the words are.
  if (code === 'out_of_memory' || code === 'device_lost' || code === 'engine_away') return failure
  const own = message.replace(REFUSAL, '')
  const isDenied = DENIED_WORDS.test(own) && own.includes(workDir)
  return isDenied || HOST_WORDS.test(own) ? { code: 'host_failed', message, retryable: true } : failure
}

/** Whether an error on the way of a file is the host's own, which a further try at once would meet again. */
export function isOfHost(message: string, workDir: string): boolean {
  return blameHost({ code: 'internal', message, retryable: true }, workDir).code === 'host_failed'
}
