import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Runs a program to its end and returns its output. Throws with the output unless it exits with 0. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: { cwd: string; env: Record<string, string>; withinMs: number },
): Promise<string> {
  const { cwd, env, withinMs } = options
  const child = spawn(program, args, {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: withinMs,
    killSignal: 'SIGKILL',
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code ?? signal}: ${output}`)
  return output
}
