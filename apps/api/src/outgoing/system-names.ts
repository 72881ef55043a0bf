import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

export interface ResolvedAddress {
  address: string
  family: 4 | 6
}

/** Names asked for and not answered yet, each once, however many wait for it. */
const underway = new Map<string, Promise<ResolvedAddress[]>>()
/** Ends with the look-up that was asked for last. */
let last: Promise<unknown> = Promise.resolve()

/**
 * The addresses of a host as the system knows it: through its hosts file, its search domains, its name
 * servers. Throws what the system says, or the reason of `signal`.
 *
 * A look-up takes a thread of libuv's pool until the system gives up, which a silent name server delays for
 * 10 s or more, and cannot be cancelled. Two threads of the four look names up, those of the database and
 * the store too: hosts that are away must leave one. So one name is asked at a time in the whole process,
 * and nobody asks for a name that is being asked. As many may wait as there are hosts in the settings.
 */
export async function systemAddresses(host: string, signal: AbortSignal): Promise<ResolvedAddress[]> {
  const family = isIP(host)
  if (family !== 0) return [{ address: host, family: family === 4 ? 4 : 6 }]
  return await Promise.race([inTurn(host), abortOf(signal)])
}

function inTurn(host: string): Promise<ResolvedAddress[]> {
  const asked = underway.get(host)
  if (asked !== undefined) return asked
  const found = last.then(async () => {
    try {
      const addresses = await lookup(host, { all: true })
      return addresses.map(
        ({ address, family }): ResolvedAddress => ({ address, family: family === 4 ? 4 : 6 }),
      )
    } finally {
      underway.delete(host)
    }
  })
  underway.set(host, found)
  last = found.catch(() => {})
  return found
}

/** Rejects when `signal` aborts. */
function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
