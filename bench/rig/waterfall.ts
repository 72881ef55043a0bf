import { asMs, percentile } from './statistics.ts'
import type { TraceEvent } from './trace.ts'

/** A span of the same kind of work, and what happened in it. */
export interface TracedSpan {
  startMs: number
  endMs: number
}

/**
 * Rows of a table: what happened in at least half of the spans, in the order of when; medians of when, from
 * the span's start, and of the time since what came before it. What happens several times in a span is told
 * apart by a number.
 */
export function waterfall(spans: readonly TracedSpan[], events: readonly TraceEvent[]): string[][] {
  const found = new Map<string, number[]>()
  for (const { startMs, endMs } of spans) {
    const times = new Map<string, number>()
    for (const { atMs, what } of inOrder(events, startMs, endMs)) {
      const count = (times.get(what) ?? 0) + 1
      times.set(what, count)
      const key = count === 1 ? what : `${what} (${count})`
      found.set(key, [...(found.get(key) ?? []), atMs - startMs])
    }
  }
  const rows = [...found]
    .filter(([, atMs]) => atMs.length * 2 >= spans.length)
    .map(([what, atMs]) => ({ what, atMs: percentile(atMs, 0.5) }))
    .sort((a, b) => a.atMs - b.atMs)
  return [
    ['after', 'since the last', 'what'],
    ...rows.map(({ what, atMs }, index) => [asMs(atMs), asMs(atMs - (rows[index - 1]?.atMs ?? 0)), what]),
  ]
}

function inOrder(events: readonly TraceEvent[], startMs: number, endMs: number): TraceEvent[] {
  return events.filter(({ atMs }) => atMs >= startMs && atMs <= endMs).sort((a, b) => a.atMs - b.atMs)
}
