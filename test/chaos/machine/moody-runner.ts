import { spawn } from 'node:child_process'
import { createWriteStream, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { MOODS, type Mood } from './moods.ts'

/**
 * The animatic runner with moods: while the file `SLUICE_ANIMATIC_MOOD` names one, it happens to each reply.
 * The worker sees one runner.
 */
const ANIMATIC = fileURLToPath(new URL('../../../runners/animatic/src/main.ts', import.meta.url))
const GROWTH_BYTES = 200 * 1024 * 1024

const child = spawn(process.execPath, [ANIMATIC], { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] })
const replies = createWriteStream('', { fd: 3 })
let isSilent = false
const grown: Buffer[] = []

createInterface({ input: child.stdio[3] as Readable }).on('line', (line) => {
  if (isSilent) return
  const mood = readMood()
  switch (mood) {
    case 'rubbish':
      replies.write('{"type": "progress", "step": nonsense\u0000\n')
      return
    case 'exits':
      process.exit(3)
      break
    case 'silent':
      isSilent = true
      return
    case 'grows':
      grown.push(Buffer.alloc(GROWTH_BYTES, 1))
      break
    case 'wrong-times':
      replies.write(`${lie(line)}\n`)
      return
    case null:
      break
    default:
      mood satisfies never
  }
  replies.write(`${line}\n`)
})
child.on('exit', (code) => process.exit(code ?? 1))
// Ctrl-C and a service manager signal the whole group; the runner ends with its stdin.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)

function readMood(): Mood | null {
  try {
    const text = readFileSync(process.env.SLUICE_ANIMATIC_MOOD ?? '', 'utf8').trim()
    return MOODS.find((mood) => mood === text) ?? null
  } catch {
    return null
  }
}

/** A clock that runs a million times too fast. */
function lie(line: string): string {
  const reply = JSON.parse(line) as { timings?: Record<string, number> }
  if (reply.timings === undefined) return line
  return JSON.stringify({ ...reply, timings: { denoise: 1.7e9, encode: 1e300 } })
}
