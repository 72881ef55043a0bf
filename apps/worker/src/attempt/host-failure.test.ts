import { expect, test } from 'vitest'
import type { Failure } from './failure.ts'
import { blameHost } from './host-failure.ts'

const WORK_DIR = '/var/sluice/worker/work'
const codeOf = (message: string, code: Failure['code'] = 'internal') =>
  blameHost({ code, message, retryable: code !== 'bad_input' }, WORK_DIR).code

test.each([
  'ENOSPC: no space left on device, write',
  '[Errno 28] No space left on device',
  'EDQUOT: disk quota exceeded, write',
  "EROFS: read-only file system, open '/x'",
  'GET did not get through: EIO: i/o error, write',
  'the runner cannot be started: spawn /usr/bin/node EMFILE',
  '[Errno 24] Too many open files',
  `EACCES: permission denied, open '${WORK_DIR}/video_1/out/video.mp4'`,
])('%s is the host’s fault, whatever it is reported as', (message) => {
  expect(codeOf(message)).toBe('host_failed')
  expect(codeOf(message, 'runner_exited')).toBe('host_failed')
  expect(blameHost({ code: 'bad_input', message, retryable: false }, WORK_DIR)).toEqual({
    code: 'host_failed',
    message,
    retryable: true,
  })
})

test.each([
  'the runner ended with exit code 139',
  "EACCES: permission denied, open '/models/weights.safetensors'",
  'PUT: HTTP 507 the store says: no space left on device',
  'connect ECONNREFUSED 127.0.0.1:3000',
])('%s is not', (message) => {
  expect(codeOf(message)).toBe('internal')
})

test.each(['out_of_memory', 'device_lost'] as const)(
  'a device that says %s is not the host, whatever its words: its runner has to be started again',
  (code) => {
    expect(codeOf('cannot allocate memory', code)).toBe(code)
  },
)
