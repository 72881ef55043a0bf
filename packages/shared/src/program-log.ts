import { type Logger, pino } from 'pino'

export interface ProgramLogOptions {
  /** Of the program, in every line. */
  name: string
  level: string
  /** Made by `hideSecrets`: every line goes through it, whatever it is about. */
  hide: (text: string) => string
  /** Lines about such an error are not written. */
  isSkipped?: (error: unknown) => boolean
}

/** The log of API and worker: JSON lines on stdout in which no secret is shown. */
export function createProgramLog({ name, level, hide, isSkipped = () => false }: ProgramLogOptions): Logger {
  return pino({
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
  })
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
