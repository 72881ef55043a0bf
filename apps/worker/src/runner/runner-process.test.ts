import { Writable } from 'node:stream'
import pino from 'pino'
import { expect, test } from 'vitest'
import { type RunnerEnd, RunnerProcess } from './runner-process.ts'

const REPLY = JSON.stringify({ type: 'started', id: 'video_1-1-0' })

interface Run {
  replies: string[]
  end: RunnerEnd
}

/** A runner that is a line of shell, until it has ended; it is killed at the first line that it logs. */
async function run(script: string): Promise<Run & { logged: string[] }> {
  const [replies, logged]: [string[], string[]] = [[], []]
  const { promise, resolve } = Promise.withResolvers<RunnerEnd>()
  const log = new Writable({
    write(line, _encoding, callback) {
      const { stream, msg } = JSON.parse(String(line))
      if (stream !== undefined) {
        logged.push(msg)
        runner.kill({ why: 'restarted', message: 'it has spoken' })
      }
      callback()
    },
  })
  const runner = new RunnerProcess(
    {
      runner: { command: ['/bin/sh', '-c', script], environment: {}, deviceVariable: 'DEVICES' },
      devices: '0',
      stallMs: 60_000,
      log: pino({ level: 'debug' }, log),
    },
    { onReply: ({ type }) => replies.push(type), onEnd: resolve },
  )
  runner.expectReplies()
  return { end: await promise, replies, logged }
}

test.each(['>&1', '>&2'])(
  'what a runner prints without an end of line (%s) is not kept until there is one',
  async (where) => {
    const { end, logged } = await run(`head -c 3000000 /dev/zero ${where}; cat`)
    expect(end.why).toBe('restarted')
    expect(logged[0]?.length).toBeGreaterThan(1_000_000)
  },
)

test('a runner that replies without an end of line is ended at once, as one that breaks the protocol', async () => {
  const { replies, end } = await run(`echo '${REPLY}' >&3; cat /dev/zero >&3`)
  expect(replies).toEqual(['started'])
  expect(end.why).toBe('broke_protocol')
})

test('half a line before a runner dies, and what is no JSON, break the protocol and nothing else', async () => {
  for (const script of [
    `printf '{"type":"rea' >&3`,
    `echo 'loading...' >&3; cat`,
    `echo '{"type":"song"}' >&3; cat`,
  ])
    expect((await run(script)).end.why).toBe('broke_protocol')
})
