import { z } from 'zod'
import { scopedRoute } from '../../http/route.ts'
import { repairQueueCounts } from '../../keys/repair-queue-counts.ts'

export const repairQueueCountsRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/queue-counts/repair',
    operationId: 'repairQueueCounts',
    tag: 'admin',
    summary: 'Count the queue anew',
    description:
      'How many videos an account and a key have queued and running is kept, not counted. The ledger check from the beginning says whether what is kept is right; this makes it right. Submissions and workers go on meanwhile.',
    answers: {
      200: {
        description: 'The counts that were wrong, and by how much they were too high.',
        schema: z
          .object({
            object: z.literal('queue_counts.repair'),
            repaired: z.array(
              z.object({
                account_id: z.string(),
                key_id: z.string().nullable().meta({ description: 'Null: the count of the account.' }),
                service_tier: z.string(),
                queued: z.int(),
                in_progress: z.int(),
              }),
            ),
          })
          .meta({ id: 'QueueCountsRepair' }),
      },
    },
    errors: [],
  },
  async ({ context, key }) => {
    const drifts = await repairQueueCounts(context, key.id)
    return {
      object: 'queue_counts.repair' as const,
      repaired: drifts.map((drift) => ({
        account_id: drift.account_id,
        key_id: drift.key_id === '' ? null : drift.key_id,
        service_tier: drift.service_tier,
        queued: Number(drift.queued),
        in_progress: Number(drift.in_flight),
      })),
    }
  },
)
