import { type Logger, pino } from 'pino'

/**
 * JSON lines on stdout. Of an error only some fields are written: database drivers attach whole connections,
 * with their settings, to theirs.
 */
export function createLog(level: string): Logger {
  return pino({ name: 'api', level, serializers: { err: errorJson } })
}

function errorJson(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { code, constraint } = error as Error & { code?: unknown; constraint?: unknown }
  return {
    type: error.name,
    message: error.message,
    ...(code === undefined ? {} : { code }),
    ...(constraint === undefined ? {} : { constraint }),
    stack: error.stack,
    ...(error.cause === undefined ? {} : { cause: errorJson(error.cause) }),
  }
}
