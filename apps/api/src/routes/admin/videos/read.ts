import { unixSeconds } from '@sluice/shared/clock'
import { isId } from '@sluice/shared/ids'
import { formatMicros } from '@sluice/shared/money'
import { videoSchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { scopedRoute } from '../../../http/route.ts'
import type { TransferRow } from '../../../ledger/list-transfers.ts'
import type { Attempt } from '../../../videos/attempt.ts'
import { VIDEO_STATUSES } from '../../../videos/video.ts'
import { notFound, readVideoForAdmin } from '../../../videos/video-store.ts'
import { videoJson } from '../../videos/video-json.ts'
import { videoIdParams } from '../../videos/video-reply.ts'

const attemptSchema = z
  .object({
    fence: z.int(),
    claim: z.string().nullable(),
    worker: z.string().nullable(),
    pool: z.string(),
    slot: z.int().nullable(),
    resumed_from_step: z.int(),
    steps: z.int().meta({ description: 'Steps this attempt ran itself.' }),
    step: z.int(),
    outcome: z.enum(['completed', 'failed', 'cancelled', 'yielded', 'lost']).nullable(),
    error: z.object({ code: z.string(), message: z.string().nullable() }).nullable(),
    timings: z.record(z.string(), z.number()).nullable(),
    uses: z
      .record(z.string(), z.string())
      .nullable()
      .meta({ description: 'What its runner computed with, such as the attention kernel.' }),
    dispatched_at: z.int().nullable(),
    taken_at: z.int().nullable(),
    started_at: z.int().nullable(),
    released_at: z.int().nullable(),
    ended_at: z.int().nullable(),
  })
  .meta({ id: 'Attempt' })

const transferSchema = z
  .object({
    id: z.string().meta({ example: 'txfr_01m84f0j8df20bh2fw7sqrp04k' }),
    kind: z.string(),
    currency: z.string(),
    created_at: z.int().nullable(),
    entries: z.array(z.object({ account: z.string(), amount: z.string() })),
  })
  .meta({ id: 'Transfer' })

const adminVideoSchema = videoSchema
  .extend({
    account_id: z.string(),
    internal_status: z.enum(VIDEO_STATUSES),
    fence: z.int(),
    pool: z.string().nullable(),
    failures_in_a_row: z.int(),
    checkpoint_step: z.int().nullable(),
    deleted_at: z.int().nullable(),
    attempts: z.array(attemptSchema),
    transfers: z.array(transferSchema),
  })
  .meta({ id: 'AdminVideo' })

export const readAdminVideoRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/videos/{id}',
    operationId: 'readAdminVideo',
    tag: 'admin',
    summary: 'A video with its attempts and transfers',
    params: videoIdParams,
    answers: { 200: { description: 'Also of a deleted video.', schema: adminVideoSchema } },
    errors: ['not_found'],
  },
  async ({ context, params }) => {
    const found = isId('video', params.id) ? await readVideoForAdmin(context.db, params.id) : null
    if (found === null) throw notFound()
    const { video, attempts, transfers } = found
    return {
      ...videoJson(video, await context.forecaster.of(video)),
      account_id: video.account_id,
      internal_status: video.status,
      fence: video.fence,
      pool: video.pool,
      failures_in_a_row: video.failures_in_a_row,
      checkpoint_step: video.checkpoint_step,
      deleted_at: unixSeconds(video.deleted_at),
      attempts: attempts.map(attemptJson),
      transfers: transfers.map((transfer) => transferJson(transfer, video.currency)),
    }
  },
)

function attemptJson(attempt: Attempt): z.input<typeof attemptSchema> {
  return {
    fence: attempt.fence,
    claim: attempt.claim,
    worker: attempt.worker_id,
    pool: attempt.pool,
    slot: attempt.slot,
    resumed_from_step: attempt.resumed_from_step,
    steps: Math.max(0, attempt.step - attempt.resumed_from_step),
    step: attempt.step,
    outcome: attempt.outcome,
    error: attempt.error_code === null ? null : { code: attempt.error_code, message: attempt.error_message },
    timings: attempt.result?.timings ?? null,
    uses: attempt.result?.uses ?? null,
    dispatched_at: unixSeconds(attempt.dispatched_at),
    taken_at: unixSeconds(attempt.taken_at),
    started_at: unixSeconds(attempt.started_at),
    released_at: unixSeconds(attempt.released_at),
    ended_at: unixSeconds(attempt.ended_at),
  }
}

function transferJson(transfer: TransferRow, currency: string): z.input<typeof transferSchema> {
  return {
    id: transfer.id,
    kind: transfer.kind,
    currency,
    created_at: unixSeconds(transfer.created_at),
    entries: transfer.entries.map((entry) => ({
      account: entry.account_kind,
      amount: formatMicros(BigInt(entry.amount_micros)),
    })),
  }
}
