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

const lineSchema = z.looseObject({
  level: z.number(),
  msg: z.string().optional(),
  err: z.looseObject({ message: z.string().optional() }).optional(),
})

/**
 * One line of a child's log for a person, or null when it is not worth showing: pino lines from warn up, and what the child wrote
 * on stderr outside of its log (a crash). With `showAll` everything is shown.
 */
export function formatLogLine(
  name: string,
  line: string,
  stream: 'stdout' | 'stderr',
  showAll: boolean,
): string | null {
  const parsed = parse(line)
  if (parsed === null)
    return showAll || (stream === 'stderr' && line.trim() !== '') ? `${name.padEnd(8)} ${line}` : null
  if (!showAll && parsed.level < WARN) return null
  const cause = parsed.err?.message
  const said = [parsed.msg, cause === parsed.msg ? undefined : cause]
    .filter((text) => text !== undefined && text !== '')
    .join(': ')
  return `${name.padEnd(8)} ${LEVELS[parsed.level] ?? parsed.level} ${said === '' ? line : said}`
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
