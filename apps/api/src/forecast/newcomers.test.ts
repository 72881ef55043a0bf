import type { HeadRow } from '@sluice/gate/head-row'
import { expect, test } from 'vitest'
import { Newcomers } from './newcomers.ts'
import type { Snapshot } from './snapshot.ts'

const row = (id: string) => ({ id, expires_in_ms: 1_000 }) as HeadRow
/** Read from 90 to 100. */
const snapshot = (fields: Partial<Snapshot> = {}) =>
  ({ readAtMs: 90, atMs: 100, rows: [], fleet: { inFlight: [] }, ...fields }) as unknown as Snapshot

test('those that came since a snapshot come at their time, in their order, and without the one that asks', () => {
  const newcomers = new Newcomers()
  newcomers.note(row('late'), 300)
  newcomers.note(row('early'), 200)
  newcomers.note(row('early'), 200)
  newcomers.note(row('before'), 80)
  const since = (atMs: number, exceptId = '') =>
    newcomers.since(snapshot(), atMs, exceptId).map(({ inMs, row: { id } }) => [id, inMs])
  expect(since(400)).toEqual([
    ['early', 100],
    ['late', 200],
  ])
  expect(since(250)).toEqual([['early', 100]])
  expect(since(400, 'early')).toEqual([['late', 200]])
  // It lives as long from its own time on.
  expect(newcomers.since(snapshot(), 400, '')[1]?.row.expires_in_ms).toBe(1_200)
})

test('what the snapshot has seen, queued or in flight, did not come since; what came while it was read counts from its beginning', () => {
  const newcomers = new Newcomers()
  for (const id of ['queued', 'running', 'unseen']) newcomers.note(row(id), 95)
  const fleet = { inFlight: [{ videoId: 'running' }] } as unknown as Snapshot['fleet']
  const since = newcomers.since(snapshot({ rows: [row('queued')], fleet }), 100, '')
  expect(since.map(({ inMs, row: { id } }) => [id, inMs])).toEqual([['unseen', 0]])
})

test('a flood of them is known by its newest', () => {
  const newcomers = new Newcomers()
  for (let number = 0; number < 200; number += 1) newcomers.note(row(String(number)), 101 + number)
  const since = newcomers.since(snapshot(), 1_000, '')
  expect(since.length).toBe(64)
  expect(since.at(-1)?.row.id).toBe('199')
})
