import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** One client's connection through the proxy. */
interface ProxiedConnection {
  readonly isSilent: boolean
  /** The client has closed it, or its half of it. */
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
export interface TcpProxy extends AsyncDisposable {
  port: number
  /** The first target's URL as seen through the proxy. */
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

export interface TcpProxyOptions {
  /** Gets each connection that is passed on. */
  onOpen?: (connection: ProxiedConnection) => void
  /** Asked before a reply passes: true breaks the connection instead, though the call was carried out. */
  breaksInsteadOfReply?: () => boolean
}

/**
 * Starts a proxy on a free port of 127.0.0.1. Each connection goes to one of the targets (their hosts and
 * ports), in turn, and to the next one when that accepts none, as a load balancer does.
 */
export async function startTcpProxy(
  targetUrls: string | readonly string[],
  options: TcpProxyOptions = {},
): Promise<TcpProxy> {
  const targets = [targetUrls].flat().map((url) => new URL(url))
  const open = new Set<Passage>()
  let accepted = 0
  let onNew: 'pass' | 'silence' | 'refuse' = 'pass'
  // Half open, or Node itself would answer the end of one that is silent.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    accepted += 1
    client.on('error', () => {})
    if (onNew === 'refuse') {
      client.resetAndDestroy()
      return
    }
    const first = accepted % targets.length
    const passage = new Passage(client, options.breaksInsteadOfReply ?? (() => false))
    open.add(passage)
    passage.ended.then(
      () => open.delete(passage),
      () => {},
    )
    if (onNew === 'silence') passage.goSilent()
    passage.connect([...targets.slice(first), ...targets.slice(0, first)])
    options.onOpen?.(passage)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const url = new URL(targets[0] ?? '')
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
  /** Both sides are closed. */
  readonly ended: Promise<unknown>
  readonly #client: Socket
  readonly #breaksInsteadOfReply: () => boolean
  readonly #serverClosed = Promise.withResolvers<void>()
  #server: Socket | null = null
  #isSilent = false
  #dropsReplies = false
  #delayMs = 0

  constructor(client: Socket, breaksInsteadOfReply: () => boolean) {
    this.#client = client
    this.#breaksInsteadOfReply = breaksInsteadOfReply
    client.setNoDelay(true)
    this.ended = Promise.all([closed(client), this.#serverClosed.promise])
  }

  /** What the client says meanwhile waits. Cuts it off when no target accepts. */
  connect(targets: readonly URL[]): void {
    const [target, ...others] = targets
    if (target === undefined || this.#client.destroyed) {
      this.#client.destroy()
      this.#serverClosed.resolve()
      return
    }
    const server = connect({ host: target.hostname, port: Number(target.port), allowHalfOpen: true })
    const tryNext = () => this.connect(others)
    server.once('error', tryNext)
    server.once('connect', () => {
      server.off('error', tryNext)
      server.setNoDelay(true)
      server.once('close', () => this.#serverClosed.resolve())
      this.#server = server
      this.#pass(this.#client, server, () => false)
      this.#pass(server, this.#client, () => {
        if (!this.#breaksInsteadOfReply()) return this.#dropsReplies
        this.cut()
        return true
      })
    })
  }

  get isSilent(): boolean {
    return this.#isSilent
  }

  get isGivenUp(): boolean {
    return this.#client.readableEnded || this.#client.closed
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
    this.#server?.destroy()
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
    if (from.closed) to.destroy()
  }
}

async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close').catch(() => {})
}
