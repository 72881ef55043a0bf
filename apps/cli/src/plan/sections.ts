import { readFileSync, type Stats, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { csvLines } from './csv.ts'
import { type Faults, PlanError } from './faults.ts'
import { Row } from './row.ts'

/** The lists of a plan: each is a list of objects, or a CSV file whose first line names the same fields. */
export const SECTIONS = ['demand', 'mix', 'trace', 'pools', 'paces', 'prices', 'accounts'] as const
export type Section = (typeof SECTIONS)[number]

/** A trace of a million submissions has about 80 MB. */
const FILE_BYTES_MAX = 400_000_000
const ROWS_MAX = 10_000
const TRACE_ROWS_MAX = 5_000_000

/** The JSON file of a plan, and CSV files that were named beside it. */
export interface PlanFiles {
  /** Undefined = all comes from CSV files. */
  json: string | undefined
  csv: Readonly<Partial<Record<Section, string>>>
}

/** A plan as it was written: nothing of it is judged but that it can be read. */
export interface PlanText {
  /** The fields of the JSON file; empty without one. */
  document: Readonly<Record<string, unknown>>
  /** The file whose folder the names of CSV files are relative to. */
  path: string
  csv: PlanFiles['csv']
}

/** Reads the files. Throws PlanError. */
export function readPlanText(files: PlanFiles): PlanText {
  if (files.json === undefined) return { document: {}, path: '.', csv: files.csv }
  return { document: parseDocument(files.json, readText(files.json)), path: files.json, csv: files.csv }
}

/** The fields of a plan in JSON. Throws PlanError. */
function parseDocument(path: string, text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new PlanError(`${path}: is no JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new PlanError(`${path}: allowed is an object with the fields of a plan`)
  return value as Record<string, unknown>
}

/** Whether the plan has this list. */
export function hasSection({ document, csv }: PlanText, section: Section): boolean {
  return csv[section] !== undefined || (document[section] ?? null) !== null
}

/**
 * The rows of a list, one at a time. What is no list, has no rows or too many is noted as a fault; a file
 * that cannot be read throws PlanError.
 */
export function* sectionRows(plan: PlanText, section: Section, faults: Faults): Generator<Row> {
  const rowsMax = section === 'trace' ? TRACE_ROWS_MAX : ROWS_MAX
  const faultsBefore = faults.count
  let count = 0
  for (const row of rawRows(plan, section, faults)) {
    count += 1
    if (count > rowsMax) {
      faults.add(row.place, `there are more than ${rowsMax} of them`)
      return
    }
    yield row
  }
  // What is no list, or has no good row, is a fault already.
  if (count === 0 && faults.count === faultsBefore) faults.add(section, 'has nothing in it')
}

function* rawRows(plan: PlanText, section: Section, faults: Faults): Generator<Row> {
  const given = plan.csv[section]
  const value = given ?? plan.document[section]
  if (typeof value === 'string') {
    // A file that was named on the command line is there where the command runs.
    const path = given ?? resolve(dirname(plan.path), value)
    yield* csvRows(value, readText(path), faults)
    return
  }
  if (!Array.isArray(value)) {
    faults.refuse(section, value, 'allowed is a list, or the name of a CSV file')
    return
  }
  for (const [index, fields] of value.entries()) {
    const place = `${section}[${index}]`
    if (typeof fields === 'object' && fields !== null && !Array.isArray(fields))
      yield new Row(place, fields, faults)
    else faults.refuse(place, fields, 'allowed is an object')
  }
}

function* csvRows(name: string, text: string, faults: Faults): Generator<Row> {
  let header: readonly string[] | null = null
  try {
    for (const { line, cells } of csvLines(text)) {
      const place = `${name} line ${line}`
      if (header === null) header = cells.map((cell) => cell.trim())
      else if (cells.length === header.length) yield new Row(place, fieldsOf(header, cells), faults)
      else faults.add(place, `has ${cells.length} cells, and the first line names ${header.length}`)
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    faults.add(name, error.message)
  }
}

function fieldsOf(header: readonly string[], cells: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const [index, name] of header.entries()) fields[name] = cells[index] ?? ''
  return fields
}

function readText(path: string): string {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw new PlanError(`${path}: is ${kindOf(stats)}: allowed is a file`)
    const { size } = stats
    if (size > FILE_BYTES_MAX)
      throw new PlanError(`${path}: has ${size} bytes, allowed are ${FILE_BYTES_MAX}`)
    // Files of /proc say 0 as well, and some of them never end.
    return size === 0 ? '' : readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof PlanError) throw error
    throw new PlanError(`${path}: cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** What there is in place of a file: a device may have no end, and a pipe may be waited for for ever. */
function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder'
  if (stats.isFIFO()) return 'a pipe'
  return stats.isSocket() ? 'a socket' : 'a device'
}
