import { createInterface } from 'node:readline/promises'
import { UsageError } from '../connection/find-connection.ts'

/** The flag of commands that cannot be undone. */
export const YES_OPTION = ['-y, --yes', 'do not ask first'] as const

export interface YesFlag {
  yes?: boolean
}

/** Where questions are asked. */
export interface Questions {
  /** False in a script: nobody could answer. */
  isPersonThere: boolean
  /** Returns what was answered. */
  ask(question: string): Promise<string>
}

/** Asks on stderr, so that the output of a command stays its result. */
export const terminalQuestions: Questions = {
  isPersonThere: process.stdin.isTTY === true && process.stderr.isTTY === true,
  async ask(question) {
    const lines = createInterface({ input: process.stdin, output: process.stderr })
    // A Ctrl-C or a closed terminal is a no, and ends the command as everywhere.
    lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
    const closed = new Promise<string>((resolve) => lines.on('close', () => resolve('')))
    return Promise.race([lines.question(question), closed]).finally(() => lines.close())
  },
}

/** Throws UsageError when nobody is there to confirm. To be called before anything is looked up. */
export function requireConfirmable(questions: Questions, flags: YesFlag, command: string): void {
  if (flags.yes === true || questions.isPersonThere) return
  throw new UsageError(`"sluice ${command}" cannot be undone, and nobody is there to be asked: add --yes`)
}

/** True when `--yes` was given, or a person says yes to `what`. */
export async function isConfirmed(questions: Questions, flags: YesFlag, what: string): Promise<boolean> {
  if (flags.yes === true) return true
  return /^y(es)?$/i.test((await questions.ask(`${what} This cannot be undone. [y/N] `)).trim())
}
