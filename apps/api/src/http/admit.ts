import { pause } from '@sluice/shared/pause'
import type { Request, Response } from 'express'
import { SluiceError } from '../errors.ts'
import type { Key } from '../keys/authenticate.ts'
import { enterLine } from '../places.ts'
import type { Services } from '../services.ts'
import { announcedBytes, hasBody } from './body-arrival.ts'

/** What the places are counted by: an account, or a key that belongs to none. */
function tenantOf(key: Key): string {
  return key.accountId ?? key.id
}

/** The lines in which calls wait for their turn. */
export type CallLine = 'calls' | 'longCalls' | 'submissions'

/**
 * Waits until it is this account's turn. Returns a function that says that the handler is through: what is
 * sent from then on waits for the client alone. Workers are let in at once: they have connections of their
 * own. Throws SluiceError `too_many_at_once`, or ClientGoneError.
 */
export async function admit(
  { places, config }: Pick<Services, 'places' | 'config'>,
  key: Key,
  { line, response }: { line: CallLine; response: Response },
): Promise<() => void> {
  if (key.scopes.includes('worker')) return () => {}
  try {
    return await enterLine(places[line], tenantOf(key), { weight: 1, signal: goneSignal(response) })
  } catch (error) {
    await pauseRefusal(error, config.bounds.refusalPauseMs)
    throw error
  }
}

/**
 * Takes room for the body before any of it is read; it is given back when the request is over. Throws
 * SluiceError: the body is larger than `bytesMax`, or there is no room for it.
 */
export async function admitBody(
  { places, config }: Pick<Services, 'places' | 'config'>,
  key: Key,
  { request, response, bytesMax }: { request: Request; response: Response; bytesMax: number },
): Promise<void> {
  if (!hasBody(request)) return
  const weight = announcedBytes(request, bytesMax)
  if (weight === 0 || key.scopes.includes('worker')) return
  try {
    const leave = await enterLine(places.bodyBytes, tenantOf(key), { weight, signal: goneSignal(response) })
    if (response.closed) leave()
    else response.once('close', leave)
  } catch (error) {
    await pauseRefusal(error, config.bounds.refusalPauseMs)
    throw error
  }
}

/** The client closed its connection before it was answered: there is nobody to answer. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError'
}

/** Aborts with ClientGoneError when the client goes away before it is answered. */
export function goneSignal(response: Response): AbortSignal {
  const known: unknown = response.locals.goneSignal
  if (known instanceof AbortSignal) return known
  const gone = new AbortController()
  const abort = () => {
    if (!response.writableFinished) gone.abort(new ClientGoneError('the client closed the connection'))
  }
  if (response.closed) abort()
  else response.once('close', abort)
  response.locals.goneSignal = gone.signal
  return gone.signal
}

/** A client that is refused for too much at once is not answered at once: it would ask again at once. */
async function pauseRefusal(error: unknown, ms: number): Promise<void> {
  if (error instanceof SluiceError && error.code === 'too_many_at_once') await pause(ms)
}
