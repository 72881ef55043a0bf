import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request a receiver got. */
export interface Received {
  path: string
  headers: Record<string, string>
  /** The bytes as they came, for signatures. */
  raw: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever was sent, and fail on what is missing
  event: any
  /** For requests that were held: answers at last. */
  answer(status: number): void
}

export interface WebhookReceiver extends AsyncDisposable {
  url: string
  /** Everything so far, in the order it came. */
  received: Received[]
  /** Resolves once so many have come. */
  atLeast(count: number): Promise<Received[]>
}

/** A real HTTP server; `answerWith` gives the status for each request, or 'hold' to leave its socket open. */
export async function startWebhookReceiver(
  answerWith: (request: Received, before: number) => number | 'hold' = () => 200,
): Promise<WebhookReceiver> {
  const received: Received[] = []
  let waiting: (() => void)[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const raw = Buffer.concat(chunks).toString()
    const one: Received = {
      path: request.url ?? '',
      headers: request.headers as Record<string, string>,
      raw,
      event: JSON.parse(raw),
      answer: (status) => end(response, status),
    }
    const status = answerWith(one, received.length)
    received.push(one)
    if (status !== 'hold') end(response, status)
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    atLeast: async (count) => {
      while (received.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
      return received
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function end(response: ServerResponse, status: number): void {
  response.writeHead(status, status >= 300 && status < 400 ? { location: '/elsewhere' } : {}).end('{}')
}
