import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface CutProxy extends AsyncDisposable {
  url: string
  /** Answers of the server that were thrown away. */
  cut: number
}

/** A TCP proxy that hands the first requests on and then cuts the line as their answer comes: the server acted, the client never hears. */
export async function startCutProxy(target: string, cuts: number): Promise<CutProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => sockets.delete(socket))
    }
    client.pipe(upstream)
    upstream.on('data', (bytes: Buffer) => {
      if (proxy.cut < cuts) {
        proxy.cut += 1
        client.destroy()
        upstream.destroy()
      } else client.write(bytes)
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const proxy: CutProxy = {
    url: `http://127.0.0.1:${address.port}`,
    cut: 0,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}
