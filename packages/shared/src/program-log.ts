import { type Logger, type LoggerOptions, pino } from 'pino'

export interface ProgramLogOptions {
  /** Of the program, in every line. */
  name: string
  level: string
  /** Made by `hideSecrets`: every line goes through it, whatever it is about. */
  hide: (text: string) => string
  /** Lines about such an error are not written. */
  isSkipped?: (error: unknown) => boolean
}

/** Lines that stdout cannot take are kept up to this size, and tried again with the next line. */
const UNWRITTEN_BYTES_MAX = 1 << 20

/**
 * The log of API and worker: JSON lines on stdout in which no secret is shown. When stdout cannot take them,
 * such as a file on a full disk, lines are lost and the program goes on.
 */
export function createProgramLog({ name, level, hide, isSkipped = () => false }: ProgramLogOptions): Logger {
  const stdout = pino.destination({ fd: process.stdout.fd || 1, sync: true, maxLength: UNWRITTEN_BYTES_MAX })
  stdout.on('error', () => {})
  const options: LoggerOptions = {
    base: { name, pid: process.pid },
    level,
    serializers: { err: (error: unknown) => errorJson(error) },
    hooks: {
      streamWrite: hide,
      logMethod(args, method) {
        const [fields] = args as unknown[]
        if (!isSkipped((fields as { err?: unknown } | undefined)?.err)) method.apply(this, args)
      },
    },
  }
  return pino(options, stdout)
}

/** Errors may hold their cause in a circle. */
const DEPTH_MAX = 5
/** A connection that is tried at several addresses fails with an error for each. */
const ERRORS_MAX = 5

/**
 * What a log shows of an error. Only these fields: drivers attach the command that failed to theirs, or whole
 * connections with their settings.
 */
function errorJson(error: unknown, depth = 1): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : typeof error
  const { code, constraint } = error as Error & { code?: unknown; constraint?: unknown }
  const errors = error instanceof AggregateError ? error.errors.slice(0, ERRORS_MAX) : []
  return {
    type: error.name,
    message: error.message,
    ...(code === undefined ? {} : { code }),
    ...(constraint === undefined ? {} : { constraint }),
    stack: error.stack,
    ...(error.cause === undefined || depth === DEPTH_MAX ? {} : { cause: errorJson(error.cause, depth + 1) }),
    ...(errors.length === 0 || depth === DEPTH_MAX
      ? {}
      : { errors: errors.map((one) => errorJson(one, depth + 1)) }),
  }
}
