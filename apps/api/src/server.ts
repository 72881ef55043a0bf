import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { listen } from '@sluice/shared/listen'
import { ownUrl } from '@sluice/shared/own-address'
import { pause } from '@sluice/shared/pause'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { createApp } from './app.ts'
import type { Services } from './services.ts'

/** Event streams, and as many connections besides. */
const CONNECTIONS_MAX = 20_000
const LOOK_EVERY_MS = 20
const LISTENERS_MAX = 20

/** The HTTP server of one process. */
export class ApiServer {
  readonly url: string
  readonly #server: Server
  readonly #unanswered: ReadonlySet<ServerResponse>

  private constructor(server: Server, unanswered: ReadonlySet<ServerResponse>) {
    this.#server = server
    this.#unanswered = unanswered
    const { address, port } = server.address() as AddressInfo
    this.url = ownUrl(address, port)
  }

  /** Listens. Throws SettingError when HOST or PORT cannot be used. */
  static async open(services: Services): Promise<ApiServer> {
    const { host, port } = services.config.http
    const app = createApp(services)
    const server = createServer(app)
    server.keepAliveTimeout = TIME_LIMITS.client.keepAliveMs
    server.headersTimeout = TIME_LIMITS.client.headersMs
    // A worker may upload for a while; the bodies of calls have their own, shorter bound.
    server.requestTimeout = TIME_LIMITS.client.uploadMs
    server.maxConnections = CONNECTIONS_MAX
    // Whoever reads the body says that it may come; a refusal comes without it.
    server.on('checkContinue', (request, response) => {
      if (request.url?.startsWith('/store/') === true) response.writeContinue()
      server.emit('request', request, response)
    })
    server.on('clientError', answerUnreadable)
    const unanswered = new Set<ServerResponse>()
    server.prependListener('request', (_request, response) => {
      unanswered.add(response)
      // Each part that follows a request to its end has one.
      response.setMaxListeners(LISTENERS_MAX)
      response.once('close', () => unanswered.delete(response))
      if (!server.listening) response.setHeader('connection', 'close')
    })
    await listen(server, host, port)
    // A connection that could not be accepted is lost; unheard, the error would end the process.
    server.on('error', (error) => services.log.warn({ err: error }, 'a connection was not accepted'))
    return new ApiServer(server, unanswered)
  }

  /** Takes no further connection; each that is open is closed after its answer. */
  stopListening(): void {
    this.#server.close()
    for (const response of this.#unanswered) {
      if (!response.headersSent) response.setHeader('connection', 'close')
    }
  }

  /** Waits until every request is answered, but no longer than `limitMs`, and closes all connections. */
  async drain(limitMs: number): Promise<void> {
    const endsMs = performance.now() + limitMs
    while (this.#unanswered.size > 0 && performance.now() < endsMs) {
      this.#server.closeIdleConnections()
      await pause(LOOK_EVERY_MS)
    }
    this.#server.closeAllConnections()
  }
}

const STATUS_LINES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** Answers what is not HTTP, in the shape of all errors. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = STATUS_LINES[error.code ?? ''] ?? '400 Bad Request'
  const message = `The request could not be read: ${status.slice(4)}.`
  const body = JSON.stringify({
    error: { message, type: 'invalid_request_error', code: 'invalid_value', param: null },
  })
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\nconnection: close`
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}
