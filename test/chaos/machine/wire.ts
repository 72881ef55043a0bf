import { startTcpProxy } from '../../support/tcp-proxy.ts'

/**
 * A TCP connection between two parts of the service, in our hands: it passes every byte on until it is told
 * to misbehave.
 */
export interface Wire extends AsyncDisposable {
  /** What it connects, for the report: `api-1 to postgres`. */
  name: string
  /** On 127.0.0.1; in place of the target's own. */
  port: number
  /** Connections that exist now go silent for good, both ways, and stay open; new ones work. */
  silenceExisting(): void
  /** All connections are silent: those that exist, and those that come until `restore`, for good. */
  silence(): void
  /** Existing connections are cut, new ones refused, until `restore`. */
  cut(): void
  /** Everything arrives so much later, until `restore`. */
  delay(ms: number): void
  /** The target gets everything, but instead of its next `count` answers the connection breaks. */
  dropReplies(count: number): void
  restore(): void
}

/** Listens on a free port and passes each connection on to one of the ports that accepts it. */
export async function openWire(name: string, targets: readonly number[]): Promise<Wire> {
  let repliesToBreak = 0
  let delayMs = 0
  const proxy = await startTcpProxy(
    targets.map((port) => `tcp://127.0.0.1:${port}`),
    {
      breaksInsteadOfReply: () => repliesToBreak > 0 && repliesToBreak-- > 0,
      onOpen: (connection) => connection.delayBy(delayMs),
    },
  )
  const delay = (ms: number) => {
    delayMs = ms
    for (const connection of proxy.connections()) connection.delayBy(ms)
  }
  return {
    name,
    port: proxy.port,
    silenceExisting: proxy.silenceOpen,
    silence: () => {
      proxy.silenceNew()
      proxy.silenceOpen()
    },
    cut: () => {
      proxy.refuseNew()
      for (const connection of proxy.connections()) connection.cut()
    },
    delay,
    dropReplies: (count) => {
      repliesToBreak = count
    },
    restore: () => {
      proxy.acceptAgain()
      delay(0)
      repliesToBreak = 0
      // A server finds out in the end that nobody is there; long runs would use up its connections.
      for (const connection of proxy.connections()) if (connection.isGivenUp) connection.cut()
    },
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  }
}
