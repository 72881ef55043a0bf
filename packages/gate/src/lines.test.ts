import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type HeadRow, queueKeyOf } from './head-row.ts'
import { type KnownRow, Lines } from './lines.ts'

const PER_LINE = 3

function knownOf(key: string, id: number, expiresInMs = 86_400_000): KnownRow {
  const row: HeadRow = {
    id: `video_${String(id).padStart(4, '0')}`,
    model: 'animatic',
    account_id: 'account',
    key_id: key,
    weight: 100,
    account_running_max: null,
    key_running_max: null,
    service_tier: 'standard',
    num_steps: 2,
    checkpoint_step: null,
    expires_in_ms: expiresInMs,
    multiplier_bps_max: null,
    not_before_in_ms: 0,
    passed_over_ms: null,
    capability: 'animatic',
    resolution: '256px',
    width: 336,
    height: 192,
    num_frames: 5,
    video_tokens: 504n,
  }
  return { row, readAtMs: 0 }
}

const step = fc.oneof(
  fc.record({ does: fc.constant('queue' as const), key: fc.nat({ max: 2 }), id: fc.nat({ max: 99 }) }),
  fc.record({ does: fc.constant('serve' as const), key: fc.nat({ max: 2 }) }),
  fc.record({ does: fc.constant('read ahead' as const), keys: fc.subarray([0, 1, 2]) }),
)

test('what is known of a line is the first of its videos, through any run of arrivals, comebacks, dispatches and readings', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 99 })), { maxLength: 20 }),
      fc.array(step, { maxLength: 60 }),
      (before, steps) => {
        // What stands in the database, oldest first.
        const queued = new Map<string, KnownRow[]>()
        const ofKey = (key: number) => queued.get(`key_${key}`) ?? []
        const queue = (key: number, id: number): KnownRow | null => {
          const known = knownOf(`key_${key}`, id)
          if (ofKey(key).some(({ row }) => row.id === known.row.id)) return null
          const rows = [...ofKey(key), known].sort((a, b) => (a.row.id < b.row.id ? -1 : 1))
          queued.set(`key_${key}`, rows)
          return known
        }
        for (const [key, id] of before) queue(key, id)
        const lines = new Lines([...queued.values()].flatMap(([head]) => head ?? []))
        for (const each of steps) {
          if (each.does === 'queue') {
            const known = queue(each.key, each.id)
            if (known !== null) lines.add(known)
          } else if (each.does === 'serve') {
            const [head] = ofKey(each.key)
            if (head === undefined) continue
            queued.set(`key_${each.key}`, ofKey(each.key).slice(1))
            lines.remove(new Set([head.row.id]), [queueKeyOf(head.row)])
          } else {
            const short = lines
              .named(each.keys.map((key) => queueKeyOf(knownOf(`key_${key}`, 0).row)))
              .filter(({ isWhole }) => !isWhole)
            const read = short.flatMap(({ last }) =>
              (queued.get(last.key_id) ?? []).filter(({ row }) => row.id > last.id).slice(0, PER_LINE),
            )
            lines.append(short, read, PER_LINE)
          }
          for (const [key, rows] of queued) {
            const queueKey = queueKeyOf(knownOf(key, 0).row)
            for (const [place, known] of [...rows, null].entries()) {
              const told = lines.at(queueKey, place)
              if (told === undefined) break
              expect(told?.row.id).toBe(known?.row.id)
            }
          }
        }
        // After one more reading every line that has a video has a head.
        const short = lines.withoutHead()
        const rest = short.flatMap(({ last }) =>
          (queued.get(last.key_id) ?? []).filter(({ row }) => row.id > last.id).slice(0, PER_LINE),
        )
        lines.append(short, rest, PER_LINE)
        const heads = [...queued.values()].flatMap(([head]) => head?.row.id ?? [])
        expect(new Set(lines.heads().map(({ row }) => row.id))).toEqual(new Set(heads))
      },
    ),
    { numRuns: 1_000 },
  )
})

test('what has expired by now is no head, and who is passed over keeps since when', () => {
  const lines = new Lines([knownOf('one', 1, 1_000), knownOf('two', 2)])
  lines.dropExpired(999)
  expect(lines.heads()).toHaveLength(2)
  lines.dropExpired(1_000)
  const [head] = lines.heads()
  expect(lines.heads().map(({ row }) => row.key_id)).toEqual(['two'])
  const name = { queueKey: queueKeyOf(knownOf('two', 2).row), videoId: 'video_0002' }
  lines.notePassedOver(name, 300)
  lines.notePassedOver(name, 500)
  expect(head?.row.passed_over_ms).toBe(-300)
})
