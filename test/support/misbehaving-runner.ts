import { spawn } from 'node:child_process'
import { writeFileSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type RunnerReply, type RunnerRequest, runnerRequestSchema } from '@sluice/shared/runner-protocol'

/**
 * A runner that misbehaves for some seeds, and is the animatic runner for all others: 1 crash after 2 steps,
 * 2 silence after 2 steps, 3 a file that is no MP4, 4 out_of_memory, 5 a line outside the protocol, 6
 * bad_input, 7 model_missing.
 */
const animatic = spawn(
  process.execPath,
  [fileURLToPath(new URL('../../runners/animatic/src/main.ts', import.meta.url))],
  { stdio: ['pipe', 'inherit', 'inherit', 3] },
)
animatic.on('exit', (code) => process.exit(code ?? 1))

function reply(message: RunnerReply): void {
  writeSync(3, `${JSON.stringify(message)}\n`)
}

function steps(request: Extract<RunnerRequest, { type: 'generate' }>, upTo: number): void {
  const { id } = request
  reply({ type: 'started', id })
  for (let step = 1; step <= upTo; step += 1)
    reply({ type: 'progress', id, phase: 'denoise', step, steps: request.request.num_steps })
}

function misbehave(request: Extract<RunnerRequest, { type: 'generate' }>): boolean {
  const { id } = request
  switch (request.request.seed) {
    case 1:
      steps(request, 2)
      process.stderr.write('segmentation fault, for once\n')
      process.exit(3)
      break
    case 2:
      steps(request, 2)
      return true
    case 3: {
      steps(request, request.request.num_steps)
      reply({ type: 'released', id })
      const path = (name: string) => `${request.workdir}/${name}`
      const files = {
        video: path('video.mp4'),
        thumbnail: path('thumbnail.webp'),
        spritesheet: path('spritesheet.jpg'),
      }
      for (const file of Object.values(files)) writeFileSync(file, 'not what it should be')
      reply({ type: 'finished', id, files, timings: {}, tokens: 0, peak_vram_bytes: 0, seed: 3 })
      return true
    }
    case 4:
      steps(request, 2)
      reply({ type: 'failed', id, code: 'out_of_memory', message: 'needs 90 GiB, has 80', retryable: true })
      return true
    case 5:
      writeSync(3, 'Loading checkpoint shards: 100%\n')
      return true
    case 6:
      reply({ type: 'failed', id, code: 'bad_input', message: 'parameters differ', retryable: false })
      return true
    case 7:
      reply({
        type: 'failed',
        id,
        code: 'model_missing',
        message: 'no file at /models/ink.safetensors',
        retryable: false,
      })
      return true
    default:
      return false
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const request = runnerRequestSchema.parse(JSON.parse(line))
    if (request.type === 'generate' && misbehave(request)) return
    animatic.stdin?.write(`${line}\n`)
  })
  .on('close', () => animatic.stdin?.end())
