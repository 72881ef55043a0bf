import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createInterface } from 'node:readline'

export interface ReceivedEvent {
  name: string
  id: string
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever the API sent, and fail on what is missing
  data: any
}

/** Reads a stream of server-sent events from a connection of its own. */
export class EventReader implements AsyncDisposable {
  readonly response: IncomingMessage
  readonly events: ReceivedEvent[] = []
  comments = 0
  isClosed = false
  readonly #changed = new EventTarget()

  constructor(response: IncomingMessage) {
    this.response = response
    let fields: Record<string, string> = {}
    const lines = createInterface({ input: response })
    lines.on('line', (line) => {
      if (line.startsWith(':')) this.comments += 1
      else if (line === '') {
        if (fields.data !== undefined) {
          this.events.push({ name: fields.event ?? '', id: fields.id ?? '', data: JSON.parse(fields.data) })
        }
        fields = {}
      } else {
        fields[line.slice(0, line.indexOf(':'))] = line.slice(line.indexOf(':') + 2)
      }
      this.#changed.dispatchEvent(new Event('change'))
    })
    // To a reader, a connection that breaks off is the end of the stream.
    response.on('error', () => {})
    response.on('close', () => {
      this.isClosed = true
      this.#changed.dispatchEvent(new Event('change'))
    })
  }

  /** Returns once `satisfied` holds; throws after `withinMs`. */
  async until(satisfied: (reader: this) => boolean, withinMs = 20_000): Promise<this> {
    const timeout = AbortSignal.timeout(withinMs)
    while (!satisfied(this)) {
      await new Promise<void>((resolve, reject) => {
        this.#changed.addEventListener('change', () => resolve(), { once: true })
        timeout.addEventListener(
          'abort',
          () => reject(new Error(`not within ${withinMs} ms: ${JSON.stringify(this.events.slice(-3))}`)),
          { once: true },
        )
      })
    }
    return this
  }

  names(): string[] {
    return this.events.map((event) => event.name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.response.destroy()
  }
}

/** Opens GET /v1/videos/{id}/events. `ca`: the certificate authority of an https URL. */
export function openEvents(
  url: string,
  key: string,
  videoId: string,
  lastEventId?: string,
  ca?: string,
): Promise<EventReader> {
  const headers = {
    authorization: `Bearer ${key}`,
    ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
  }
  const request = url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const options = { headers, agent: false as const, family: 4, ...(ca === undefined ? {} : { ca }) }
    const sent = request(`${url}/v1/videos/${videoId}/events`, options, (response) =>
      resolve(new EventReader(response)),
    )
    sent.on('error', reject)
    sent.end()
  })
}
