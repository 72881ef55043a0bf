import { isId } from '@sluice/shared/ids'
import { formatMicros } from '@sluice/shared/money'
import type { RequestHandler } from 'express'
import type { Attempt } from '../attempts/attempt.ts'
import type { Context } from '../context.ts'
import { scopedKey } from '../http/authentication.ts'
import { notFound } from '../videos/cancel.ts'
import { readVideoForAdmin, type TransferRow } from '../videos/video-store.ts'
import { unixSeconds, videoJson } from './video-json.ts'

/** GET /v1/admin/videos/{id}: the video, every attempt at it, and what the ledger holds of it. */
export function readAdminVideo(context: Context): RequestHandler<{ id: string }> {
  return async (request, response) => {
    await scopedKey(context, request, 'admin')
    const found = isId('video', request.params.id) ? await readVideoForAdmin(context.db, request.params.id) : null
    if (found === null) throw notFound()
    const { video, attempts, transfers } = found
    response.json({
      ...videoJson(video, await context.forecaster.of(video)),
      account_id: video.account_id,
      internal_status: video.status,
      fence: video.fence,
      pool: video.pool,
      failures_in_a_row: video.failures_in_a_row,
      checkpoint_step: video.checkpoint_step,
      deleted_at: seconds(video.deleted_at),
      attempts: attempts.map(attemptJson),
      transfers: transfers.map((transfer) => transferJson(transfer, video.currency)),
    })
  }
}

function attemptJson(attempt: Attempt): Record<string, unknown> {
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
    dispatched_at: seconds(attempt.dispatched_at),
    taken_at: seconds(attempt.taken_at),
    started_at: seconds(attempt.started_at),
    released_at: seconds(attempt.released_at),
    ended_at: seconds(attempt.ended_at),
  }
}

function transferJson(transfer: TransferRow, currency: string): Record<string, unknown> {
  return {
    id: transfer.id,
    kind: transfer.kind,
    currency,
    created_at: seconds(transfer.created_at),
    entries: transfer.entries.map((entry) => ({ account: entry.account_kind, amount: formatMicros(BigInt(entry.amount_micros)) })),
  }
}

function seconds(date: Date | null): number | null {
  return date === null ? null : unixSeconds(date)
}
