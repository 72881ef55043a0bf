import { spawn } from 'node:child_process'
import { appendFileSync, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/**
 * The animatic runner with a stopwatch: passes every line through, and writes down how long its device lay idle between a
 * `released` and the next `generate`, one number of milliseconds a line. SLUICE_ANIMATIC_GAPS names the file.
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
