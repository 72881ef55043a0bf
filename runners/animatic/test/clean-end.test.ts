import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { MAIN, someGeneration, startAnimatic } from '../../../test/support/spawned-animatic.ts'

describe('the end', () => {
  test.each(['denoising', 'drawing'])('end of stdin while %s exits 0 within a second', async (when) => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: when === 'denoising' ? '30000' : '0' })
    runner.generate('v', someGeneration({ width: 1024, height: 576, num_frames: 129 }))
    if (when === 'denoising') await runner.reply('started', 'v')
    else await runner.reply('progress', 'v', (reply) => reply.phase === 'decode' && reply.step > 1)
    const ended = performance.now()
    runner.child.stdin?.end()
    expect(await runner.exited).toBe(0)
    expect(performance.now() - ended).toBeLessThan(1000)
  })

  test('shutdown exits 0', async () => {
    const runner = await startAnimatic()
    runner.send({ type: 'shutdown' })
    expect(await runner.exited).toBe(0)
  })

  test('a signal to the whole process group does not end it before the worker has yielded its video', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '30' })
    runner.generate('v', someGeneration())
    await runner.reply('progress', 'v', (reply) => reply.phase === 'denoise' && reply.step === 1)
    runner.child.kill('SIGTERM')
    runner.child.kill('SIGINT')
    runner.send({ type: 'yield', id: 'v' })
    const { path = '' } = await runner.reply('yielded', 'v')
    expect(existsSync(path)).toBe(true)
  })

  test('when nobody reads fd 3 any more it exits quietly', async () => {
    const runner = await startAnimatic({ SLUICE_ANIMATIC_STEP_MS: '10' })
    runner.generate('v', someGeneration({ num_steps: 100 }))
    await runner.reply('started', 'v')
    runner.replyStream.destroy()
    expect(await runner.exited).toBe(0)
    expect(runner.stderr).toBe('')
  })

  test.each([
    ['without fd 3', {}, ['pipe', 'ignore', 'pipe'] as const, 'file descriptor 3'],
    [
      'with an unusable setting',
      { SLUICE_ANIMATIC_STEP_MS: 'fast' },
      ['pipe', 'ignore', 'pipe', 'pipe'] as const,
      'SLUICE_ANIMATIC_STEP_MS is "fast"',
    ],
  ])('a start %s says so in one line and exits 2', async (_, environment, stdio, words) => {
    const child = spawn(process.execPath, [MAIN], {
      stdio: [...stdio],
      env: { PATH: process.env.PATH, ...environment },
    })
    let stderr = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk
    })
    const [code] = await once(child, 'close')
    expect(code).toBe(2)
    expect(stderr).toContain(words)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })
})
