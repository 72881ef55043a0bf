import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What happens to an answer: the connection is cut, or another status takes its place. */
export type Fault = 'cut' | 409 | 500 | 502 | 503 | 504

export interface FaultProxy extends AsyncDisposable {
  url: string
  /** The faults of the next answers, in order. */
  faults: Fault[]
  /** For each request: the header in which an SDK counts its repeats. */
  retryCounts: (string | undefined)[]
}

/**
 * A proxy that passes each request on and spoils the first answers: the server acted, but the client does not
 * know.
 */
export async function startFaultProxy(target: string, faults: readonly Fault[]): Promise<FaultProxy> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const {
      host: _host,
      connection: _connection,
      'transfer-encoding': _encoding,
      ...headers
    } = request.headers
    proxy.retryCounts.push(headers['x-stainless-retry-count'] as string | undefined)
    const body = chunks.length === 0 ? null : Buffer.concat(chunks)
    const answer = await fetch(target + request.url, {
      method: request.method ?? 'GET',
      headers: headers as Record<string, string>,
      body,
    }).catch(() => null)
    if (answer === null) {
      // Nobody answers there, so nobody answers here.
      request.socket.destroy()
      return
    }
    const bytes = Buffer.from(await answer.arrayBuffer())
    const fault = proxy.faults.shift()
    if (fault === 'cut') request.socket.destroy()
    else if (fault === undefined) {
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(bytes)
    } else {
      response
        .writeHead(fault, { 'content-type': 'text/html', 'retry-after-ms': '10' })
        .end('<h1>Bad Gateway</h1>')
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults: [...faults],
    retryCounts: [],
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}
