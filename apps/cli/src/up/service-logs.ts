import { join } from 'node:path'
import { type LogFile, openLogFile } from './log-file.ts'
import { formatLogLine, type OutputStream, type ShownLines } from './log-line.ts'

type Program = 'api' | 'worker' | 'postgres'

/** The log files of API, worker and PostgreSQL, and the lines of them that the terminal shows. */
export class ServiceLogs {
  readonly #folder: string
  readonly #shownLines: ShownLines
  readonly #print: (line: string) => void
  readonly #hide: (text: string) => string
  readonly #files: Readonly<Record<Program, LogFile>>

  /** `hide` is for what a program prints when it crashes; its log has no secrets. */
  constructor(
    folder: string,
    shownLines: ShownLines,
    { print, hide }: { print: (line: string) => void; hide: (text: string) => string },
  ) {
    this.#hide = hide
    this.#folder = folder
    this.#shownLines = shownLines
    this.#print = print
    this.#files = {
      api: openLogFile(this.pathOf('api')),
      worker: openLogFile(this.pathOf('worker')),
      postgres: openLogFile(this.pathOf('postgres')),
    }
  }

  pathOf(program: Program): string {
    return join(this.#folder, `${program}.log`)
  }

  write(program: Program, line: string, stream: OutputStream): void {
    const text = this.#hide(line)
    this.#files[program].write(text)
    const shown = formatLogLine(program, text, stream, this.#shownLines)
    if (shown !== null) this.#print(shown)
  }

  close(): void {
    for (const file of Object.values(this.#files)) file.close()
  }
}
