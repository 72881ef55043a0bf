import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** pass: as if it were not there. silent: connections are accepted and stay, and no byte comes through. */
type LinkState = 'pass' | 'silent'

export interface FaultyLink extends AsyncDisposable {
  port: number
  /** Holds for open connections and for new ones. */
  state: LinkState
  /** Connections that were made so far. */
  made: number
  close(): Promise<void>
}

/** A TCP connection to `target` that falls silent when the test says so. */
export async function startFaultyLink(target: { host: string; port: number }): Promise<FaultyLink> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    link.made += 1
    const far = connect(target)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', (chunk) => {
        if (link.state === 'pass') to.write(chunk)
      })
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        if (link.state === 'pass' || from === near) to.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  const link: FaultyLink = {
    port: (server.address() as AddressInfo).port,
    state: 'pass',
    made: 0,
    close,
    [Symbol.asyncDispose]: close,
  }
  return link
}
