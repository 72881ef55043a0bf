import { type DatabasePool, transaction } from '../db/database.ts'
import type { ClaimedDelivery } from './outbox.ts'

/**
 * Ends everything that is on its way to the receiver of a delivery, because it answered 410 Gone: an endpoint
 * is disabled and its pending deliveries fail; of a webhook_url the account's pending deliveries to the same
 * URL fail. Nothing else of the account changes.
 */
export async function endDeliveriesOf(
  pool: DatabasePool,
  { endpoint, queue, url, account_id }: Pick<ClaimedDelivery, 'endpoint' | 'queue' | 'url' | 'account_id'>,
): Promise<void> {
  await transaction(pool, async (db) => {
    if (endpoint !== null) {
      // One whose URL was changed meanwhile is another receiver, which has not been asked.
      const { rowCount } = await db.query({
        text: `update webhook_endpoint set
          disabled_at = now(),
          disabled_reason = 'gone',
          updated_at = now()
        where id = $1 and url = $2 and disabled_at is null`,
        values: [queue, endpoint.url],
      })
      if (rowCount === 0) return
    }
    await db.query({
      text: `update webhook_delivery set status = 'failed', due_at = null
      where lane = $1 and account_id = $2 and status = 'pending' and ($3::text is null or url = $3)`,
      values: [queue, account_id, url],
    })
  })
}
