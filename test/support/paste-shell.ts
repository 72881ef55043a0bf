import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** A bash into which blocks are pasted, one after the other. */
export interface PasteShell extends AsyncDisposable {
  /** Returns the shell's output once the block has run. Throws when the shell ended meanwhile. */
  paste(block: string): Promise<string>
  /** Ends the shell and returns how it ended. */
  end(): Promise<string>
}

/**
 * Starts a bash that stops at the first command that fails, in the folder `cwd` with the environment `env`
 * alone.
 */
export function startPasteShell(cwd: string, env: Record<string, string>): PasteShell {
  const shell = spawn('bash', ['-eu', '-o', 'pipefail'], { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  let saidSince: (() => void) | undefined
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
      saidSince?.()
    })
  }
  const ended = once(shell, 'close').then(([code]) => `exit ${code}`)
  return {
    paste: async (block) => {
      said = ''
      shell.stdin.write(`${block}\necho "block over" >&2\n`)
      while (!said.includes('block over')) {
        const over = await Promise.race([
          ended,
          new Promise<null>((resolve) => (saidSince = () => resolve(null))),
        ])
        if (over !== null) throw new Error(`${over} of ${block}\nafter ${said}`)
      }
      return said.replace('block over\n', '')
    },
    end: () => {
      shell.stdin.end()
      return ended
    },
    [Symbol.asyncDispose]: async () => {
      shell.kill('SIGKILL')
      await ended
    },
  }
}
