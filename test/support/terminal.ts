import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'

const PROGRAM = fileURLToPath(new URL('./terminal.py', import.meta.url))

/** A program that runs in a terminal of its own, with what was typed there and shown. */
export interface Terminal {
  shown(): string
  /** Resolves with what was shown once it matches. */
  shows(pattern: RegExp): Promise<string>
  /** Ctrl-C is `\x03`, and Ctrl-S, which stops the output, `\x13`. */
  type(text: string): void
  /** Closes the terminal, as a window is closed. */
  hangUp(): void
  /** The exit code, or 128 and the signal. */
  exit: Promise<number>
}

export interface TerminalOptions {
  env: Record<string, string>
  columns?: number
}

/** Starts a program of our own Node in a terminal. Whatever still runs when the test ends is hung up on. */
export function startInTerminal(args: readonly string[], { env, columns = 80 }: TerminalOptions): Terminal {
  const child = spawn('python3', [PROGRAM, String(columns), process.execPath, ...args], {
    env: { PATH: process.env.PATH ?? '', TERM: 'xterm', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let shown = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
  })
  child.stdin.on('error', () => {})
  const exit = once(child, 'close').then(([code]) => Number(code))
  const hangUp = () => void child.stdin.end()
  onTestFinished(async () => {
    hangUp()
    await exit
  })
  const shows = (pattern: RegExp) =>
    eventually(
      async () => shown,
      (text) => pattern.test(text),
    )
  return { shown: () => shown, shows, type: (text) => void child.stdin.write(text), hangUp, exit }
}
