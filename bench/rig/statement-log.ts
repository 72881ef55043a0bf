import { runSql } from './accounts.ts'
import { asMs, percentile } from './statistics.ts'

/** One run of a statement, as the server logs it. */
interface LoggedStatement {
  /** When it was over, by the system's clock. */
  atMs: number
  tookMs: number
  /** The program that sent it. */
  sender: string
  name: string
}

/** What the server must be started with: each line says the time as a number, and the program. */
export const STATEMENT_LOG_SETTINGS = { log_line_prefix: '%n|%a|' }
const LINE =
  /^(?<at>\d+\.\d+)\|(?<sender>[^|]*)\|LOG: {2}duration: (?<took>[\d.]+) ms {2}(?<phase>parse|bind|execute|statement) ?(?<name>[^:]*): (?<text>.*)$/

/**
 * Collects what PostgreSQL logs of its statements: which, by whom, how long, when. Logging all of them slows
 * the server down, so it is on only in between `start` and `stop`.
 */
export class StatementLog {
  readonly #adminUrl: string
  #statements: LoggedStatement[] = []
  #isOn = false

  constructor(adminUrl: string) {
    this.#adminUrl = adminUrl
  }

  /** For the server's log lines. */
  readonly note = (line: string): void => {
    const groups = this.#isOn ? LINE.exec(line)?.groups : undefined
    if (groups === undefined) return
    const { at, took, sender = '', phase, name = '', text = '' } = groups
    this.#statements.push({
      atMs: Number(at) * 1_000,
      tookMs: Number(took),
      sender,
      name: phase === 'statement' || name === '<unnamed>' ? shorten(text) : name,
    })
  }

  async start(): Promise<void> {
    await runSql(this.#adminUrl, [
      'alter system set log_min_duration_statement = 0',
      'select pg_reload_conf()',
    ])
    this.#isOn = true
  }

  async stop(): Promise<void> {
    await runSql(this.#adminUrl, ['alter system reset log_min_duration_statement', 'select pg_reload_conf()'])
    this.#isOn = false
  }

  /**
   * Rows of a table: what ran within the spans, by statement and sender, in the order of when it was over;
   * how often in one span, and medians of its time and of when, from the span's start.
   */
  rows(spans: readonly { startMs: number; endMs: number }[]): string[][] {
    const found = new Map<string, { perSpan: number[]; atMs: number[]; count: number }>()
    for (const { startMs, endMs } of spans) {
      const within = this.#statements.filter(({ atMs }) => atMs >= startMs && atMs <= endMs + 1)
      for (const [key, ofOne] of Map.groupBy(within, ({ sender, name }) => `${sender}|${name}`)) {
        const seen = found.get(key) ?? { perSpan: [], atMs: [], count: 0 }
        found.set(key, seen)
        seen.perSpan.push(ofOne.reduce((sum, { tookMs }) => sum + tookMs, 0))
        seen.atMs.push(Math.min(...ofOne.map(({ atMs }) => atMs)) - startMs)
        seen.count += 1
      }
    }
    const rows = [...found]
      .map(([key, { perSpan, atMs, count }]) => ({
        key,
        share: count / spans.length,
        tookMs: percentile(perSpan, 0.5),
        atMs: percentile(atMs, 0.5),
      }))
      .sort((a, b) => a.atMs - b.atMs)
    return [
      ['sender', 'statement', 'in how many', 'took', 'over after'],
      ...rows.map(({ key, share, tookMs, atMs }) => [
        ...key.split('|'),
        `${(share * 100).toFixed(0)} %`,
        asMs(tookMs),
        asMs(atMs),
      ]),
    ]
  }
}

/** The first words of a statement without a name. */
function shorten(text: string): string {
  return text.replaceAll(/\s+/g, ' ').slice(0, 60)
}
