import { recoverDue } from '../../apps/api/src/attempts/recovery.ts'
import type { Context } from '../../apps/api/src/context.ts'

/**
 * Recovers what is due as if workers could have been heard for a day: an attempt whose heartbeat was made old
 * by the test counts as silent. The API's own reconciler goes on as before.
 */
export async function recoverSilent(context: Context, limits?: { videoMs: number }): Promise<void> {
  await context.db.query({ text: `update reception set since = now() - interval '1 day', until = now()` })
  try {
    await recoverDue(context, limits)
  } finally {
    await context.db.query({ text: 'update reception set since = now()' })
  }
}
