import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A TCP connection to an HTTP server, and what it answered so far. */
export interface RawConnection extends Disposable {
  socket: Socket
  /** Everything that has come back. */
  received(): string
  /** Resolves when the server has closed it. */
  closed: Promise<void>
}

/** Opens a connection and sends `text`, which need not be a whole request, or any. */
export async function rawConnection(url: string, text: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let received = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    received += chunk
  })
  // A reset is an end as well.
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  await once(socket, 'connect')
  socket.write(text, 'latin1')
  return { socket, received: () => received, closed, [Symbol.dispose]: () => socket.destroy() }
}
