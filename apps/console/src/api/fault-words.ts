import { refusalText } from '../text/fault-text.ts'
import { ApiError } from './api-client.ts'

/** Any fault of a call in words for the viewer. */
export function faultWords(error: Error): string {
  return error instanceof ApiError ? refusalText(error) : error.message
}

/** True when the key lacks a right: nothing but another key helps. */
export function isMissingRight(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === 'insufficient_scope'
}
