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

/** Fields of a line that say nothing more to the person at the terminal. */
const UNSHOWN = new Set(['level', 'time', 'pid', 'hostname', 'name', 'v', 'msg', 'err'])
/** A longer value stands whole in the log file. */
const VALUE_LENGTH_MAX = 120

/** What the terminal shows of the children's logs. */
export type ShownLines = 'all' | 'warnings'
export type OutputStream = 'stdout' | 'stderr'

const lineSchema = z.looseObject({
  level: z.number(),
  msg: z.string().optional(),
  err: z.unknown().optional(),
})
const errorSchema = z.looseObject({ message: z.string(), cause: z.unknown().optional() })
/** How many causes of causes are shown. */
const CAUSES_MAX = 3

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
  const text = [parsed.msg ?? '', ...messagesOf(parsed.err)]
    .filter((part, index, parts) => part !== '' && parts.indexOf(part) === index)
    .join(': ')
  const level = LEVELS[parsed.level] ?? parsed.level
  return `${name.padEnd(8)} ${level} ${text === '' ? line : `${text}${fieldsText(parsed)}`}`
}

/** The error's message, and those of its causes: "PUT did not get through" alone says not why. */
function messagesOf(error: unknown): string[] {
  const messages: string[] = []
  for (let next = error; messages.length <= CAUSES_MAX; ) {
    const parsed = errorSchema.safeParse(next)
    if (!parsed.success) break
    messages.push(parsed.data.message)
    next = parsed.data.cause
  }
  return messages
}

/** ` (video video_01h..., fence 2)`: what the line is about; nothing when it names nothing. */
function fieldsText(line: Record<string, unknown>): string {
  const fields = Object.entries(line)
    .filter(([name, value]) => !UNSHOWN.has(name) && value !== null)
    .map(([name, value]) => {
      const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
      return `${name} ${text.length > VALUE_LENGTH_MAX ? `${text.slice(0, VALUE_LENGTH_MAX)}...` : text}`
    })
  return fields.length === 0 ? '' : ` (${fields.join(', ')})`
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
