import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** One client's connection through the proxy. */
interface ProxiedConnection {
  readonly isSilent: boolean
  /** The client has closed it. */
  readonly isGivenUp: boolean
  /**
   * From now on no byte passes in either direction, and neither side hears of an end: as when a router in
   * between forgets the connection.
   */
  goSilent(): void
  /** From now on what the server says is dropped, and what the client says still arrives. */
  dropReplies(): void
  /** Each piece of bytes arrives so much later, in order. 0 ends it. */
  delayBy(ms: number): void
  /** Cuts the connection on both sides. */
  cut(): void
}

/** A TCP proxy that can misbehave as networks do. Disposing it cuts everything. */
export interface SilentProxy extends AsyncDisposable {
  port: number
  /** The target's URL as seen through the proxy. */
  url: string
  /** What is open now, the oldest first. */
  connections(): readonly ProxiedConnection[]
  /** How many connections were ever accepted. */
  accepted(): number
  /** Every connection that is open now goes silent; later ones work. */
  silenceOpen(): void
  /** Later connections are accepted, and nothing is ever said on them, until `acceptAgain`. */
  silenceNew(): void
  /** Later connections are reset at once, until `acceptAgain`. */
  refuseNew(): void
  acceptAgain(): void
}

/** Starts a proxy in front of the host and port of `targetUrl`, on a free port of 127.0.0.1. */
export async function startSilentProxy(targetUrl: string): Promise<SilentProxy> {
  const target = new URL(targetUrl)
  const open = new Set<Passage>()
  let accepted = 0
  let onNew: 'pass' | 'silence' | 'refuse' = 'pass'
  const server = createServer((client) => {
    accepted += 1
    if (onNew === 'refuse') {
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    const passage = new Passage(client, { host: target.hostname, port: Number(target.port) })
    open.add(passage)
    // oxlint-disable-next-line typescript/no-floating-promises -- it cannot fail
    void passage.ended.then(() => open.delete(passage))
    if (onNew === 'silence') passage.goSilent()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  return {
    port,
    url: url.href,
    connections: () => [...open],
    accepted: () => accepted,
    silenceOpen: () => {
      for (const passage of open) passage.goSilent()
    },
    silenceNew: () => {
      onNew = 'silence'
    },
    refuseNew: () => {
      onNew = 'refuse'
    },
    acceptAgain: () => {
      onNew = 'pass'
    },
    [Symbol.asyncDispose]: async () => {
      for (const passage of open) passage.cut()
      server.close()
      await once(server, 'close')
    },
  }
}

class Passage implements ProxiedConnection {
  readonly ended: Promise<void>
  readonly #client: Socket
  readonly #server: Socket
  #isSilent = false
  #dropsReplies = false
  #delayMs = 0

  constructor(client: Socket, target: { host: string; port: number }) {
    this.#client = client
    this.#server = connect(target)
    for (const socket of [this.#client, this.#server]) socket.setNoDelay(true)
    this.#pass(this.#client, this.#server, () => false)
    this.#pass(this.#server, this.#client, () => this.#dropsReplies)
    this.ended = Promise.all([closed(this.#client), closed(this.#server)]).then(() => {})
  }

  get isSilent(): boolean {
    return this.#isSilent
  }

  get isGivenUp(): boolean {
    return this.#client.closed
  }

  goSilent(): void {
    this.#isSilent = true
  }

  dropReplies(): void {
    this.#dropsReplies = true
  }

  delayBy(ms: number): void {
    this.#delayMs = ms
  }

  cut(): void {
    this.#client.destroy()
    this.#server.destroy()
  }

  /** A silent connection reads on, so that nothing fills up, and says nothing. */
  #pass(from: Socket, to: Socket, drops: () => boolean): void {
    let sent = Promise.resolve()
    const later = (act: () => void) => {
      const delayMs = this.#delayMs
      sent = sent.then(async () => {
        if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
        if (!this.#isSilent) act()
      })
    }
    from.on('data', (bytes: Buffer) => {
      if (!this.#isSilent && !drops()) later(() => to.write(bytes))
    })
    from.on('end', () => later(() => to.end()))
    from.on('error', () => later(() => to.destroy()))
    from.on('close', () => {
      // Who gave up a silent connection is gone; the other side never hears of it, but the test's end does.
      if (!this.#isSilent) later(() => to.destroy())
    })
  }
}

async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close').catch(() => {})
}
