import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request that the receiver got. */
export interface Received {
  path: string
  headers: Record<string, string>
  /** The body as it came, for signatures. */
  raw: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever was sent, and fail on what is missing
  event: any
  /** Answers a request that was left open. */
  answer(status: number): void
}

export interface WebhookReceiver extends AsyncDisposable {
  url: string
  /** All requests so far, in order. */
  received: Received[]
  /** Resolves once `count` requests have come. */
  atLeast(count: number): Promise<Received[]>
}

/** An answer with headers of its own. */
interface ReceiverAnswer {
  status: number
  headers: Record<string, string>
}

/**
 * Starts a real HTTP server. `answerWith` returns the status for a request, or 'hold' to leave it unanswered.
 */
export async function startWebhookReceiver(
  answerWith: (request: Received, before: number) => number | ReceiverAnswer | 'hold' = () => 200,
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
    const answer = answerWith(one, received.length)
    received.push(one)
    if (typeof answer === 'number') end(response, answer)
    else if (answer !== 'hold') end(response, answer.status, answer.headers)
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

function end(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  const location = status >= 300 && status < 400 ? { location: '/elsewhere' } : {}
  response.writeHead(status, { ...location, ...headers }).end('{}')
}
