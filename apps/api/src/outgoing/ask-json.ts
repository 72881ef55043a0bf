import { requireNoTransaction } from '../db/database.ts'
import { systemAddresses } from './system-names.ts'

const ANSWER_BYTES_MAX = 256 * 1024

/** A service of the operator did not answer as it should, or not in time. */
export class AskError extends Error {
  override readonly name = 'AskError'
}

/**
 * POSTs JSON to a URL that the operator set. Returns the JSON of the answer. The URL is not guarded as
 * customers' URLs are, since it may be in a private network. Redirects are not followed. Throws AskError
 * after `timeoutMs`, for a status other than 2xx, and for an answer that is no JSON.
 */
export async function askJson(
  url: string,
  ask: { body: unknown; key: string | undefined; timeoutMs: number },
): Promise<unknown> {
  requireNoTransaction('a service of the operator')
  // For the look-up, and for the body too: a service that sends it byte by byte is late as well.
  const signal = AbortSignal.timeout(ask.timeoutMs)
  try {
    // `fetch` looks the name up once more: here only one look-up at a time may wait for a silent name server.
    await systemAddresses(new URL(url).hostname.replace(/^\[|\]$/g, ''), signal)
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(ask.key === undefined ? {} : { authorization: `Bearer ${ask.key}` }),
      },
      body: JSON.stringify(ask.body),
      redirect: 'error',
      signal,
    })
    if (!response.ok) {
      await response.body?.cancel()
      throw new AskError(`it answered ${response.status}`)
    }
    return JSON.parse(await readText(response))
  } catch (error) {
    if (error instanceof AskError) throw error
    throw new AskError(
      error instanceof SyntaxError ? 'it did not answer with JSON' : reasonOf(error as Error),
      { cause: error },
    )
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > ANSWER_BYTES_MAX) throw new AskError(`it answered more than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function reasonOf(error: Error): string {
  if (error.name === 'TimeoutError') return 'it did not answer in time'
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException
  return `it cannot be reached (${code ?? error.message})`
}
