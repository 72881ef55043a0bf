import { z } from 'zod'

/** pino's levels by number (https://github.com/pinojs/pino, docs/api.md): 30 info, 40 warn. */
const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
}
const WARN = 40

/** What the terminal shows of the children's logs. */
export type ShownLines = 'all' | 'warnings'
export type OutputStream = 'stdout' | 'stderr'

const lineSchema = z.looseObject({
  level: z.number(),
  msg: z.string().optional(),
  err: z.looseObject({ message: z.string().optional() }).optional(),
})

/**
 * One line of a child's log as the terminal shows it, or null when it is not shown. `warnings` are pino's
 * lines from warn up, and whatever the child wrote on stderr that is no log line, such as a crash.
 */
export function formatLogLine(
  name: string,
  line: string,
  stream: OutputStream,
  shownLines: ShownLines,
): string | null {
  const parsed = parse(line)
  const isAll = shownLines === 'all'
  if (parsed === null) {
    const isCrash = stream === 'stderr' && line.trim() !== ''
    return isAll || isCrash ? `${name.padEnd(8)} ${line}` : null
  }
  if (!isAll && parsed.level < WARN) return null
  const cause = parsed.err?.message
  const text = [parsed.msg, cause === parsed.msg ? undefined : cause]
    .filter((part) => part !== undefined && part !== '')
    .join(': ')
  return `${name.padEnd(8)} ${LEVELS[parsed.level] ?? parsed.level} ${text === '' ? line : text}`
}

function parse(line: string): z.infer<typeof lineSchema> | null {
  if (!line.startsWith('{')) return null
  try {
    const parsed = lineSchema.safeParse(JSON.parse(line))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}
