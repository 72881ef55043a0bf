import { Agent, request } from 'node:http'

/**
 * Keep-alive HTTP connections to the API. Lighter than fetch, so that the client costs little of what is
 * measured.
 */
export class Connection {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 })
  readonly #url: URL

  constructor(url: string) {
    this.#url = new URL(url)
  }

  /** Posts JSON and returns the JSON of the answer. Throws on any status but 200. */
  post(path: string, key: string, body: unknown): Promise<unknown> {
    return this.#send('POST', path, key, JSON.stringify(body))
  }

  /** Returns the JSON of the answer. Throws on any status but 200. */
  get(path: string, key: string): Promise<unknown> {
    return this.#send('GET', path, key, '')
  }

  #send(method: 'GET' | 'POST', path: string, key: string, text: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: this.#url.hostname,
          port: this.#url.port,
          path,
          method,
          agent: this.#agent,
          headers: {
            authorization: `Bearer ${key}`,
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
          },
        },
        (response) => {
          let answer = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => {
            answer += chunk
          })
          response.on('end', () => {
            if (response.statusCode === 200) resolve(JSON.parse(answer))
            else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`))
          })
          response.on('error', reject)
        },
      )
      sent.on('error', reject)
      sent.end(text)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}
