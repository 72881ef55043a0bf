import type { ApiProcess } from './api-process.ts'

/**
 * Accepted submissions per second. Each connection sends its next one once the last is answered, account by
 * account.
 */
export async function acceptedPerSecond(
  api: ApiProcess,
  accounts: readonly { key: string }[],
  connections: number,
  forMs: number,
): Promise<number> {
  const startedAtMs = performance.now()
  let accepted = 0
  const drive = async (connection: number): Promise<void> => {
    for (let turn = connection; performance.now() - startedAtMs < forMs; turn += connections) {
      await api.submit(
        { prompt: 'a paper boat', num_frames: 5, num_steps: 2 },
        accounts[turn % accounts.length]?.key,
      )
      accepted += 1
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, connection) => drive(connection)))
  return (accepted * 1_000) / (performance.now() - startedAtMs)
}
