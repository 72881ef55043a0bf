import { UsageError } from '../connection/find-connection.ts'

/** More than anybody mends at a time; a trace of a million lines may hold as many. */
const SHOWN_MAX = 20
/** As long as a value may well be. */
const GIVEN_LENGTH_MAX = 80

/** A plan cannot be: the message names each place that is wrong, what is there and what is allowed. */
export class PlanError extends UsageError {
  constructor(message: string) {
    super(message.split('\n').map(withoutControls).join('\n'))
  }
}

/** Collects what is wrong with a plan, so that all of it can be mended at once. */
export class Faults {
  readonly #found = new Set<string>()
  #count = 0
  /** Found, and not among those that are shown. */
  #more = 0

  get count(): number {
    return this.#count
  }

  /** `place`: a field such as `pools[0].gpus`, or a line such as `demand.csv line 7, videos`. */
  add(place: string, fault: string): void {
    this.#count += 1
    const text = withoutControls(`${place}: ${fault}`)
    if (this.#found.has(text)) return
    if (this.#found.size < SHOWN_MAX) this.#found.add(text)
    else this.#more += 1
  }

  /** Adds a value that is not allowed. */
  refuse(place: string, given: unknown, allowed: string): void {
    this.add(place, given === undefined ? `is missing: ${allowed}` : `is ${shown(given)}: ${allowed}`)
  }

  /** Throws PlanError when there is any. */
  check(): void {
    if (this.#count === 0) return
    throw new PlanError([...this.#found, ...(this.#more === 0 ? [] : [`and ${this.#more} more`])].join('\n'))
  }
}

/** A value as JSON has it, as far as it says something. */
export function shown(value: unknown): string {
  const text = withoutControls(JSON.stringify(value) ?? String(value))
  return text.length > GIVEN_LENGTH_MAX ? `${text.slice(0, GIVEN_LENGTH_MAX)}...` : text
}

/** Control characters as JSON escapes them: a terminal would obey those of a name or path in a plan. */
function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => {
    return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
