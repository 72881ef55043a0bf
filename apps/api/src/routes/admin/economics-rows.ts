import { addFacts, type Fact, NO_FACTS, sumFacts } from '@sluice/shared/economics/facts'
import { type Figures, figuresOf } from '@sluice/shared/economics/figures'
import type { PoolDay } from '../../economics/pool-days.ts'
import { csvLine } from '../../http/csv.ts'
import { figuresJson, figuresSchema, type Group, SUMS_OF } from './economics-json.ts'

interface Names {
  day?: string
  pool?: string | null
}

/** What is written at a time: more than that gains nothing. */
const PIECE_CHARS = 64 * 1024

/**
 * The rows of a report, each written out as it is added: of what a report of a year and fifty pools is made
 * nothing stays for the collector of garbage to move, which would hold the event loop.
 */
export class EconomicsRows {
  readonly #group: Group
  readonly #writeRow: (names: Names, figures: Figures) => string
  readonly #pieces: Buffer[] = []
  readonly #sum: Record<Fact, bigint> = { ...NO_FACTS }
  #text = ''

  /** `writeRow`: of a row the text; see `jsonRows` and `csvRows`. */
  constructor(group: Group, writeRow: (names: Names, figures: Figures) => string) {
    this.#group = group
    this.#writeRow = writeRow
  }

  /** The days that are added have been summed by the group. */
  add(day: PoolDay): void {
    addFacts(this.#sum, day.facts)
    if (this.#group !== 'total') this.#write(namesOf(day, this.#group), figuresOf(sumFacts([day.facts])))
  }

  /** The text of all rows in pieces, in UTF-8, and what they come to. To be called once, last. */
  end(): { pieces: readonly Buffer[]; total: Figures } {
    const total = figuresOf(this.#sum)
    if (this.#group === 'total') this.#write({}, total)
    this.#pieces.push(Buffer.from(this.#text))
    return { pieces: this.#pieces, total }
  }

  #write(names: Names, figures: Figures): void {
    this.#text += this.#writeRow(names, figures)
    if (this.#text.length < PIECE_CHARS) return
    this.#pieces.push(Buffer.from(this.#text))
    this.#text = ''
  }
}

/** The items of a JSON list, without its brackets. */
export function jsonRows(): (names: Names, figures: Figures) => string {
  let separator = ''
  return (names, figures) => {
    const text = separator + JSON.stringify({ ...names, ...figuresJson(figures) })
    separator = ','
    return text
  }
}

/** Lines as in JSON, the causes of waste as columns of their own; what is null is an empty field. */
export function csvRows(currency: string): (names: Names, figures: Figures) => string {
  return (names, figures) => {
    const { wasted, ...rest } = figuresJson(figures)
    const fields = [...Object.values(names), ...Object.values(rest), ...Object.values(wasted), currency]
    return csvLine(fields.map((field) => field ?? ''))
  }
}

/** The line above those of `csvRows`. */
export function csvHeader(group: Group): string {
  const { wasted, ...rest } = figuresSchema.shape
  const causes = Object.keys(wasted.shape).map((cause) => `wasted_${cause}`)
  return csvLine([...SUMS_OF[group], ...Object.keys(rest), ...causes, 'currency'])
}

/** A total has none. */
function namesOf({ day, pool }: PoolDay, group: Group): Names {
  const by = SUMS_OF[group]
  return { ...(by.includes('day') ? { day } : {}), ...(by.includes('pool') ? { pool } : {}) }
}
