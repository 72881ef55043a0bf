import type { ApiProcess } from './api-process.ts'
import { RawClient, rawPost } from './raw-client.ts'

const FIELDS = { prompt: 'a paper boat', num_frames: 5, num_steps: 2 }

/** A submission of this key; `headers` come besides. */
export function submissionOf(
  api: Pick<ApiProcess, 'url'>,
  key: string,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  return rawPost(api.url, '/v1/videos', FIELDS, { authorization: `Bearer ${key}`, ...headers })
}

/** Accepted submissions per second of accounts that send the same one again and again; see `acceptedOf`. */
export function acceptedPerSecond(
  api: Pick<ApiProcess, 'url'>,
  accounts: readonly { key: string }[],
  connections: number,
  forMs: number,
): Promise<number> {
  const requests = new Map(accounts.map(({ key }) => [key, submissionOf(api, key)]))
  const requestOf = (key: string) => requests.get(key) ?? Buffer.alloc(0)
  return acceptedOf(api, accounts, { connections, forMs, requestOf })
}

/**
 * Accepted submissions per second. Each connection sends its next one once the last is answered, account by
 * account.
 */
export async function acceptedOf(
  api: Pick<ApiProcess, 'url'>,
  accounts: readonly { key: string }[],
  {
    connections,
    forMs,
    requestOf,
  }: { connections: number; forMs: number; requestOf: (key: string) => Buffer },
): Promise<number> {
  const clients = await Promise.all(Array.from({ length: connections }, () => RawClient.open(api.url)))
  const startedAtMs = performance.now()
  let accepted = 0
  const drive = async (client: RawClient, connection: number): Promise<void> => {
    for (let turn = connection; performance.now() - startedAtMs < forMs; turn += connections) {
      await client.send(requestOf(accounts[turn % accounts.length]?.key ?? ''))
      accepted += 1
    }
  }
  await Promise.all(clients.map(drive))
  const perSecond = (accepted * 1_000) / (performance.now() - startedAtMs)
  for (const client of clients) client.close()
  return perSecond
}
