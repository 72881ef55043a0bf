import { spawn } from 'node:child_process'
import { appendFileSync, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/**
 * The animatic runner with a stopwatch: it passes every line through, and appends to the file that
 * SLUICE_ANIMATIC_GAPS names how long the device lay idle between a `released` and the next `generate`, in
 * milliseconds, one a line; and to the one that SLUICE_ANIMATIC_WORK names when it was at work: from and to,
 * one video a line.
 */
const gapsPath = process.env.SLUICE_ANIMATIC_GAPS ?? ''
const runner = spawn(
  process.execPath,
  [fileURLToPath(new URL('../../runners/animatic/src/main.ts', import.meta.url))],
  { stdio: ['pipe', 'inherit', 'inherit', 'pipe'] },
)
const replies = createWriteStream('', { fd: 3 })
const workPath = process.env.SLUICE_ANIMATIC_WORK
let releasedAtMs: number | null = null
let beganAtMs: number | null = null
createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (line.includes('"generate"')) beganAtMs = performance.now()
    if (releasedAtMs !== null && line.includes('"generate"')) {
      appendFileSync(gapsPath, `${performance.now() - releasedAtMs}\n`)
      releasedAtMs = null
    }
    runner.stdin?.write(`${line}\n`)
  })
  .on('close', () => runner.stdin?.end())
createInterface({ input: runner.stdio[3] as Readable }).on('line', (line) => {
  if (line.includes('"released"')) {
    releasedAtMs = performance.now()
    if (workPath !== undefined) appendFileSync(workPath, `${beganAtMs} ${releasedAtMs}\n`)
  }
  replies.write(`${line}\n`)
})
runner.once('exit', (code) => process.exit(code ?? 1))
