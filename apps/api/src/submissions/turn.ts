import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { type Database, together } from '../db/database.ts'
import type { Turn } from './tenant-groups.ts'

/** PostgreSQL's code for a lock that could not be had within lock_timeout. */
const LOCK_NOT_AVAILABLE = '55P03'

/** Another process is in its turn for longer than any group takes: it hangs, or waits itself. */
export class TurnMissedError extends Error {
  override readonly name = 'TurnMissedError'
}

/**
 * Waits until no other transaction is in its turn; then this one is, until it ends. Call it first of all: who
 * waits for the turn has nothing that those wait for who are in it, so no two wait for each other. Throws
 * TurnMissedError when the turn does not come soon; the transaction is of no use then. From then on the
 * transaction waits for no row as long as others wait for their turn.
 */
export async function waitForTurn(db: Database): Promise<Turn> {
  try {
    const { turnMs, groupRowMs } = TIME_LIMITS.database
    const [, free] = await together([
      db.query({ text: `set local lock_timeout = ${turnMs}` }),
      db.query({ name: 'submission-turn-free', text: 'select from submission_turn for update skip locked' }),
      db.query({ name: 'submission-turn', text: 'select from submission_turn for update' }),
      db.query({ text: `set local lock_timeout = ${groupRowMs}` }),
    ])
    return { wasFree: free.rowCount === 1 }
  } catch (error) {
    const { code } = error as { code?: unknown }
    throw code === LOCK_NOT_AVAILABLE ? new TurnMissedError('the turn did not come', { cause: error }) : error
  }
}
