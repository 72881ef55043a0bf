import { parseMicros } from '@sluice/shared/money'
import { type Faults, shown } from './faults.ts'

/** What an empty field of a row is taken for, and the bounds of a number. */
interface Bounds {
  min: number
  max: number
  /** Of a field that may be left out. */
  otherwise?: number
}

/** Names go to the terminal, and words and columns end at spaces. */
const NAME = /^[^\s\p{Cc}]{1,100}$/u
const NUMBER = /^-?\d{1,15}(\.\d{1,12})?$/

/**
 * An entry of a list in a plan, or a line of a CSV file: fields by their names. A field that is wrong is
 * noted as a fault and read as something harmless, so that the others are looked at too.
 */
export class Row {
  /** `pools[0]`, or `pools.csv line 3`. */
  readonly place: string
  readonly #values: Readonly<Record<string, unknown>>
  readonly #faults: Faults
  readonly #faultsBefore: number

  constructor(place: string, values: Readonly<Record<string, unknown>>, faults: Faults) {
    this.place = place
    this.#values = values
    this.#faults = faults
    this.#faultsBefore = faults.count
  }

  /** Whether a fault was found since the row was made. */
  get isFaulty(): boolean {
    return this.#faults.count > this.#faultsBefore
  }

  /** The values of these fields: rows with the same are alike in them. */
  join(names: readonly string[]): string {
    return names.map((name) => this.#values[name] ?? '').join('\n')
  }

  has(name: string): boolean {
    return this.#value(name) !== undefined
  }

  refuse(name: string, allowed: string): void {
    this.#faults.refuse(this.#placeOf(name), this.#value(name), allowed)
  }

  /** Notes fields that there are not. */
  allow(names: readonly string[]): void {
    for (const name of Object.keys(this.#values))
      if (!names.includes(name))
        this.#faults.add(this.#placeOf(shown(name)), `there is no such field, but ${names.join(', ')}`)
  }

  text(name: string, otherwise?: string): string {
    const value = this.#value(name)
    if (value === undefined && otherwise !== undefined) return otherwise
    const text = typeof value === 'number' ? String(value) : value
    if (typeof text === 'string' && text.length <= 200) return text
    this.refuse(name, 'allowed is a text of at most 200 characters')
    return ''
  }

  /** A text that reports and faults may show as it is. */
  name(field: string, otherwise?: string): string {
    const value = this.#value(field) ?? otherwise
    const name = typeof value === 'number' ? String(value) : value
    if (typeof name === 'string' && NAME.test(name)) return name
    this.refuse(field, 'allowed is a name of at most 100 printable characters without spaces')
    return ''
  }

  choice<Word extends string>(name: string, words: readonly Word[], otherwise?: Word): Word {
    const value = this.#value(name) ?? otherwise
    const found = words.find((word) => word === value)
    if (found === undefined) this.refuse(name, `allowed are ${words.join(', ')}`)
    return found ?? (words[0] as Word)
  }

  /** An object; empty when it is left out. */
  object(name: string): Readonly<Record<string, unknown>> {
    const value = this.#value(name) ?? {}
    if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
    this.refuse(name, 'allowed is an object')
    return {}
  }

  /** Whether it says `false`; a field that is left out is true. */
  isFalse(name: string): boolean {
    const value = this.#value(name) ?? true
    if (value === true || value === 'true') return false
    if (value !== false && value !== 'false') this.refuse(name, 'allowed are true and false')
    return true
  }

  /** Words with spaces between them, or a list. */
  words(name: string): string[] {
    const value = this.#value(name)
    const words = typeof value === 'string' ? value.split(/\s+/) : value
    if (Array.isArray(words) && words.length > 0 && words.every((word) => typeof word === 'string'))
      return words
    this.refuse(name, 'allowed are one or more names')
    return []
  }

  whole(name: string, bounds: Bounds): number {
    return this.#bounded(name, bounds, 'a whole number', Number.isInteger)
  }

  /** A number above `min`, or `min` itself. */
  number(name: string, bounds: Bounds): number {
    return this.#bounded(name, bounds, 'a number', Number.isFinite)
  }

  /** What is charged: an amount above 0, in micro-units. */
  price(name: string): bigint {
    const micros = parseMicros(String(this.#value(name)))
    if (micros !== null && micros > 0n) return micros
    this.refuse(name, 'allowed is a decimal number above 0, such as 25 or 1.99')
    return 1n
  }

  /** What is paid: an amount of 0 or more, in micro-units. */
  cost(name: string): bigint {
    const micros = parseMicros(String(this.#value(name)))
    if (micros !== null) return micros
    this.refuse(name, 'allowed is a decimal number from 0, such as 25 or 1.99')
    return 0n
  }

  #bounded(name: string, { min, max, otherwise }: Bounds, what: string, is: (value: number) => boolean) {
    const value = this.#value(name)
    if (value === undefined && otherwise !== undefined) return otherwise
    const number = typeof value === 'string' && NUMBER.test(value) ? Number(value) : value
    if (typeof number === 'number' && is(number) && number >= min && number <= max) return number
    this.refuse(name, `allowed is ${what} from ${min} to ${max}`)
    return min
  }

  #value(name: string): unknown {
    const value = this.#values[name]
    if (value === null) return undefined
    if (typeof value !== 'string') return value
    const text = value.trim()
    return text === '' ? undefined : text
  }

  #placeOf(name: string): string {
    if (this.place === '') return name
    return this.place.includes(' line ') ? `${this.place}, ${name}` : `${this.place}.${name}`
  }
}
