import { spawn } from 'node:child_process'
import { appendFileSync, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/**
 * The animatic runner with a stopwatch: it passes every line through, and appends to the file that
 * SLUICE_ANIMATIC_GAPS names how long the device lay idle between a `released` and the next `generate`, in
 * milliseconds, one a line.
 */
const gapsPath = process.env.SLUICE_ANIMATIC_GAPS ?? ''
const runner = spawn(
  process.execPath,
  [fileURLToPath(new URL('../../runners/animatic/src/main.ts', import.meta.url))],
  { stdio: ['pipe', 'inherit', 'inherit', 'pipe'] },
)
const replies = createWriteStream('', { fd: 3 })
let releasedAtMs: number | null = null
createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (releasedAtMs !== null && line.includes('"generate"')) {
      appendFileSync(gapsPath, `${performance.now() - releasedAtMs}\n`)
      releasedAtMs = null
    }
    runner.stdin?.write(`${line}\n`)
  })
  .on('close', () => runner.stdin?.end())
createInterface({ input: runner.stdio[3] as Readable }).on('line', (line) => {
  if (line.includes('"released"')) releasedAtMs = performance.now()
  replies.write(`${line}\n`)
})
runner.once('exit', (code) => process.exit(code ?? 1))
