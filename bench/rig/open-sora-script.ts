import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { RUNNER_FOLDER } from './open-sora-runner.ts'

export interface ScriptVideo {
  prompt: string
  frames: number
  steps: number
  /** Takes the clip. */
  folder: string
  /** Path of an image that the clip starts with. */
  head?: string
}

/**
 * Makes one video with Open-Sora's own script, in a process of its own, with the environment of torchrun.
 * Returns the seconds from its start to its end.
 */
export async function runScript(
  where: { home: string; python: string; config: string; env?: Record<string, string> },
  video: ScriptVideo,
): Promise<number> {
  const { prompt, frames, steps, folder, head } = video
  const startedAtMs = performance.now()
  const child = spawn(
    where.python,
    [
      join(RUNNER_FOLDER, 'tests/run_script.py'),
      where.config,
      ...['--save-dir', folder, '--prompt', prompt, '--sampling_option.seed', '42'],
      ...['--num_frames', String(frames), '--num_steps', String(steps)],
      ...(head === undefined ? [] : ['--cond_type', 'i2v_head', '--ref', head]),
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH,
        OPENSORA_HOME: where.home,
        RANK: '0',
        LOCAL_RANK: '0',
        WORLD_SIZE: '1',
        LOCAL_WORLD_SIZE: '1',
        MASTER_ADDR: '127.0.0.1',
        MASTER_PORT: String(await freePort()),
        ...where.env,
      },
    },
  )
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log = `${log}${chunk}`.slice(-2000)
  })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`the script ended with ${code}: ${log}`)
  return (performance.now() - startedAtMs) / 1000
}
