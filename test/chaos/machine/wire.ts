import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

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
  /** All connections are silent until `restore`: those that exist for good, new ones until then. */
  silence(): void
  /** Existing connections are reset, new ones refused, until `restore`. */
  cut(): void
  /** Every chunk arrives so much later, until `restore`. */
  delay(ms: number): void
  /** The target gets everything, but instead of its next `count` answers the connection breaks. */
  dropReplies(count: number): void
  restore(): void
}

type Mode = { kind: 'pass' } | { kind: 'silent' } | { kind: 'cut' } | { kind: 'delay'; ms: number }

/**
 * Listens on a free port, or on `port`, and passes each connection on to the first of `targets` that accepts
 * it, in turn, as a load balancer does.
 */
export async function openWire(name: string, targets: readonly number[], port = 0): Promise<Wire> {
  const connections = new Set<WireConnection>()
  let mode: Mode = { kind: 'pass' }
  let repliesToDrop = 0
  let turn = 0
  const state: WireState = {
    mode: () => mode,
    takeDroppedReply: () => repliesToDrop > 0 && repliesToDrop-- > 0,
  }
  const server = createServer((client) => {
    client.on('error', () => {})
    if (mode.kind === 'cut') {
      client.resetAndDestroy()
      return
    }
    turn += 1
    const order = targets.map((_, index) => targets[(turn + index) % targets.length] ?? 0)
    const connection = new WireConnection(client, state)
    connections.add(connection)
    client.once('close', () => connections.delete(connection))
    if (mode.kind === 'silent') connection.mute()
    connection.connect(order)
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    name,
    port: (server.address() as AddressInfo).port,
    silenceExisting: () => {
      for (const connection of connections) connection.mute()
    },
    silence: () => {
      mode = { kind: 'silent' }
      for (const connection of connections) connection.mute()
    },
    cut: () => {
      mode = { kind: 'cut' }
      for (const connection of connections) connection.reset()
    },
    delay: (ms) => {
      mode = { kind: 'delay', ms }
    },
    dropReplies: (count) => {
      repliesToDrop = count
    },
    restore: () => {
      mode = { kind: 'pass' }
      repliesToDrop = 0
    },
    [Symbol.asyncDispose]: async () => {
      for (const connection of connections) connection.reset()
      server.close()
      await once(server, 'close')
    },
  }
}

interface WireState {
  mode(): Mode
  /** True once for each answer that is to be dropped. */
  takeDroppedReply(): boolean
}

class WireConnection {
  readonly #client: Socket
  readonly #state: WireState
  #target: Socket | null = null
  #isMuted = false

  constructor(client: Socket, state: WireState) {
    this.#client = client
    this.#state = state
  }

  /** Tries the targets in order; resets the client when none accepts. */
  connect(targets: readonly number[]): void {
    const [port, ...others] = targets
    if (port === undefined || this.#client.destroyed) {
      this.reset()
      return
    }
    const target = connect({ host: '127.0.0.1', port })
    target.once('error', () => {
      if (this.#target === null) this.connect(others)
      else this.reset()
    })
    target.once('connect', () => {
      this.#target = target
      target.on('error', () => {})
      this.#pass(this.#client, target, () => false)
      this.#pass(target, this.#client, () => this.#state.takeDroppedReply())
    })
  }

  /** Nothing passes any more; both ends believe that the connection lives. */
  mute(): void {
    this.#isMuted = true
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#target?.resetAndDestroy()
  }

  #pass(from: Socket, to: Socket, breaksInstead: () => boolean): void {
    from.on('data', (chunk: Buffer) => {
      if (this.#isMuted) return
      if (breaksInstead()) {
        this.reset()
        return
      }
      const mode = this.#state.mode()
      if (mode.kind !== 'delay') {
        this.#write(from, to, chunk)
        return
      }
      setTimeout(() => !this.#isMuted && this.#write(from, to, chunk), mode.ms)
    })
    from.once('end', () => !this.#isMuted && to.end())
    from.once('close', () => {
      if (!this.#isMuted) to.destroy()
      else if (from === this.#client) this.#target?.destroy()
    })
  }

  #write(from: Socket, to: Socket, chunk: Buffer): void {
    if (to.destroyed || to.write(chunk)) return
    from.pause()
    to.once('drain', () => from.resume())
  }
}
