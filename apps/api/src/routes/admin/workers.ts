import { unixSeconds } from '@sluice/shared/clock'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import type { Config } from '../../config/config.ts'
import { scopedRoute } from '../../http/route.ts'
import { inSlices } from '../../in-slices.ts'
import { listWorkers, type WorkerRow } from '../../workers/list-workers.ts'
import { moneyJson } from '../money-json.ts'

const runningSchema = z
  .object({
    video_id: z.string(),
    account_id: z.string(),
    model: z.string(),
    fence: z.int(),
    slot: z.int().nullable(),
    phase: z.string().nullable(),
    step: z.int(),
    steps: z.int(),
    released: z.boolean().meta({ description: 'The device is free already; encoding or upload goes on.' }),
    taken_at: z.int().nullable(),
  })
  .meta({ id: 'WorkerAttempt' })

const workerSchema = z
  .object({
    id: z.string(),
    object: z.literal('worker'),
    pool: z.string(),
    queue: z
      .string()
      .meta({
        description: 'Workers of one pool that serve different models or sizes read different queues.',
        example: 'h100x1.5f0c9a71be02',
      }),
    untaken: z
      .int()
      .meta({
        description:
          'Videos in a row that were put into its queue and that nobody took: its workers cannot reach it. It gets one at a time then, with pauses of up to a minute; other pools come first.',
      }),
    connected: z.boolean().meta({ description: 'Heard of within the lease of its attempts.' }),
    heartbeat_at: z.int(),
    heartbeat_age_seconds: z.number(),
    draining: z.boolean().meta({ description: 'Takes nothing new.' }),
    slots: z.int(),
    loaded: z
      .array(z.object({ slot: z.int(), model: z.string() }))
      .meta({ description: 'The model that each slot has loaded, as far as the worker says it.' }),
    device: z.string(),
    devices_per_slot: z.int(),
    vram_bytes: z.int(),
    models: z.array(z.string()),
    modes: z.array(z.string()),
    limits: z.object({
      frames_max: z.int(),
      pixels_max: z.int(),
      sequence_devices: z
        .int()
        .meta({
          description: 'Devices a sequence is split over: 512 + video tokens must be a multiple of it.',
        }),
    }),
    cost_per_hour: moneySchema.nullable().meta({ description: 'Of a slot, as set on the worker.' }),
    key_id: z.string().meta({ description: 'The worker token it comes with.' }),
    running: z.array(runningSchema),
  })
  .meta({ id: 'Worker' })

export const listWorkersRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/workers',
    operationId: 'listWorkers',
    tag: 'admin',
    summary: 'The workers and what they run',
    answers: {
      200: {
        description: 'Every worker that was ever heard of, the last heard first, at most a thousand.',
        schema: z
          .object({ object: z.literal('list'), data: z.array(workerSchema) })
          .meta({ id: 'WorkerList' }),
      },
    },
    errors: [],
  },
  async ({ context }) => {
    const workers = await listWorkers(context.db)
    return { object: 'list', data: await inSlices(workers, (worker) => workerJson(worker, context.config)) }
  },
)

function workerJson(
  worker: WorkerRow,
  { currency, timings }: Pick<Config, 'currency' | 'timings'>,
): z.input<typeof workerSchema> {
  return {
    id: worker.id,
    object: 'worker',
    pool: worker.pool,
    queue: worker.queue,
    untaken: worker.untaken,
    connected: worker.heartbeat_age_ms < timings.leaseMs,
    heartbeat_at: unixSeconds(worker.heartbeat_at),
    heartbeat_age_seconds: Math.round(worker.heartbeat_age_ms) / 1_000,
    draining: worker.draining,
    slots: worker.slots,
    loaded: worker.loaded,
    device: worker.device,
    devices_per_slot: worker.devices_per_slot,
    vram_bytes: Number(worker.vram_bytes),
    models: worker.models,
    modes: worker.modes,
    limits: {
      frames_max: worker.frames_max,
      pixels_max: worker.pixels_max,
      sequence_devices: worker.sequence_devices,
    },
    cost_per_hour:
      worker.cost_per_hour_micros === null ? null : moneyJson(worker.cost_per_hour_micros, currency),
    key_id: worker.key_id,
    running: worker.attempts,
  }
}
