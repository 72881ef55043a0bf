import { Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { requireNoTransaction } from '../db/database.ts'
import { forbidden, OutgoingError, type OutgoingRules, type OutgoingUrl } from './outgoing-url.ts'
import { isPublicAddress } from './public-address.ts'
import { type ResolvedAddress, systemAddresses } from './system-names.ts'

const TRY_MS = 2_000
const TRIES = 2
/** Errors which say that the name has no address; all others say that the look-up failed. */
const NO_SUCH_NAME = new Set(['ENOTFOUND', 'ENODATA', 'EBADNAME', 'EBADQUERY'])

/**
 * The addresses of a URL's host, all of them checked: one that is not public refuses the host. Connect to
 * these only, since the name may resolve to others a moment later. Throws OutgoingError.
 */
export async function resolveHost(
  target: OutgoingUrl,
  field: string,
  rules: OutgoingRules,
  signal: AbortSignal,
): Promise<ResolvedAddress[]> {
  requireNoTransaction('a name server')
  const { host, isAllowed } = target
  const family = isIP(host)
  if (family !== 0) return [{ address: host, family: family === 4 ? 4 : 6 }]
  // An allowed host may be known to the system only: through its hosts file or its search domains.
  const asksSystem = isAllowed && rules.nameServers === undefined
  const addresses = asksSystem
    ? await askSystem(host, field, signal)
    : await askNameServers(host, field, rules, signal)
  if (!isAllowed && !addresses.every(({ address }) => isPublicAddress(address)))
    throw forbidden(field, target.url.href)
  return addresses
}

async function askSystem(host: string, field: string, signal: AbortSignal): Promise<ResolvedAddress[]> {
  try {
    return await systemAddresses(host, signal)
  } catch (error) {
    throw unresolved(host, field, [error])
  }
}

/** Without the thread pool of the system's resolver, so that slow names delay nothing else. */
async function askNameServers(
  host: string,
  field: string,
  rules: OutgoingRules,
  signal: AbortSignal,
): Promise<ResolvedAddress[]> {
  const resolver = new Resolver({ timeout: TRY_MS, tries: TRIES })
  if (rules.nameServers !== undefined) resolver.setServers([...rules.nameServers])
  const cancel = () => resolver.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
    const addresses: ResolvedAddress[] = [
      ...(four.status === 'fulfilled' ? four.value : []).map((address) => ({ address, family: 4 as const })),
      ...(six.status === 'fulfilled' ? six.value : []).map((address) => ({ address, family: 6 as const })),
    ]
    if (addresses.length > 0) return addresses
    throw unresolved(
      host,
      field,
      [four, six].map((answer) => (answer.status === 'rejected' ? answer.reason : null)),
    )
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

function unresolved(host: string, field: string, errors: readonly unknown[]): OutgoingError {
  const codes = errors.map((error) => (error as NodeJS.ErrnoException | null)?.code ?? '')
  return codes.every((code) => NO_SUCH_NAME.has(code))
    ? new OutgoingError(
        field,
        'unknown_host',
        `${field} names the host ${host}, which has no address: allowed is a host that resolves.`,
      )
    : new OutgoingError(
        field,
        'resolver_failed',
        `${field} names the host ${host}, which could not be resolved (${codes.join(', ')}).`,
      )
}
