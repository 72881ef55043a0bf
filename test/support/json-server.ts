import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request that the server got. */
interface Asked {
  path: string
  headers: IncomingMessage['headers']
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever was sent, and fail on what is missing
  body: any
}

/** A real HTTP server that takes JSON and answers as the test decides. */
export interface JsonServer extends AsyncDisposable {
  url: string
  asked: Asked[]
  answer: (response: ServerResponse, asked: Asked) => void
}

/** Starts a JSON server on 127.0.0.1. */
export async function startJsonServer(answer: JsonServer['answer']): Promise<JsonServer> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const asked = {
      path: request.url ?? '',
      headers: request.headers,
      body: JSON.parse(Buffer.concat(chunks).toString('utf8')),
    }
    running.asked.push(asked)
    running.answer(response, asked)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const running: JsonServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    answer,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return running
}

/** Answers with JSON. */
export function sayJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
