import type { Response } from 'express'

/** A JSON answer with headers, or with another status than 200. */
export class JsonReply<Body> {
  readonly #body: Body
  readonly #status: number
  readonly #headers: Readonly<Record<string, string>>

  constructor(body: Body, options: { status?: number; headers?: Readonly<Record<string, string>> }) {
    this.#body = body
    this.#status = options.status ?? 200
    this.#headers = options.headers ?? {}
  }

  send(response: Response): void {
    response.status(this.#status).set(this.#headers).json(this.#body)
  }
}

/** An answer that is no JSON: a file, a stream, a redirect or nothing at all. */
export class RawReply {
  readonly #write: (response: Response) => void | Promise<void>

  /** `write` sends status, headers and content; what it throws before that becomes an error answer. */
  constructor(write: (response: Response) => void | Promise<void>) {
    this.#write = write
  }

  async send(response: Response): Promise<void> {
    await this.#write(response)
  }
}

/** Sends what a handler returned: a reply as it says, anything else as the JSON body of a 200. */
export async function sendReply(response: Response, result: unknown): Promise<void> {
  if (result instanceof JsonReply || result instanceof RawReply) await result.send(response)
  else response.json(result)
}
