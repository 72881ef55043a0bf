/** A part of an OpenAPI document, as far as examples go. */
interface Part {
  properties?: Record<string, Part>
  example?: unknown
  type?: string | string[]
  anyOf?: Part[]
  const?: unknown
  enum?: unknown[]
  $ref?: string
}

const ULID = '01m84f0j8df20bh2fw7sqrp04k'

/** What the ids of each kind of object look like, by its field `object`. */
const IDS: Readonly<Record<string, string>> = {
  account: `acct_${ULID}`,
  change: '17',
  expiring_credit: `credit_${ULID}`,
  event: `evt_${ULID}`,
  key: `key_${ULID}`,
  model: 'open-sora-2',
  payment: `pay_${ULID}`,
  transfer: `txfr_${ULID}`,
  video: `video_${ULID}`,
  'video.deleted': `video_${ULID}`,
  webhook_delivery: `whd_${ULID}`,
  webhook_endpoint: `whe_${ULID}`,
  'webhook_endpoint.deleted': `whe_${ULID}`,
  worker: 'worker_4f0c9a',
}

const CREATED_AT = 1_790_000_000
const FINISHED_AT = 1_790_000_042

/** A value from a real answer for each field whose schema alone would show "string" or 0. */
const BY_NAME: Readonly<Record<string, unknown>> = {
  account: 'customer',
  account_id: IDS.account,
  alias_of: 'open-sora-2',
  amount: '0.08316',
  attempt: 1,
  available_gpu_seconds: 3_600,
  base: null,
  break_even_utilisation: 0.41,
  busy_gpu_seconds: 2_520,
  charged_tokens: 415_800,
  claim: '5f1c09d2b7a84c1e9a6f0d3b8e2c7a41',
  code: 'invalid_value',
  completed: 12,
  completed_at: FINISHED_AT,
  cost_per_hour: '2.5',
  cost_per_million: '0.09',
  created: CREATED_AT,
  created_at: CREATED_AT,
  credit_id: `credit_${ULID}`,
  currency: 'USD',
  day: '2026-01-31',
  description: 'Open-Sora 2.0, 11B',
  device: 'NVIDIA H100',
  devices_per_slot: 1,
  dispatched_at: CREATED_AT,
  duration_ms: 84,
  effective_at: CREATED_AT,
  ended_at: FINISHED_AT,
  endpoint_id: IDS.webhook_endpoint,
  error: null,
  eta_seconds: null,
  execution_expires_after: 86_400,
  expires_at: 1_792_592_042,
  fence: 1,
  first_id: IDS.video,
  fps: 24,
  frames_max: 129,
  from: 1_787_356_800,
  generated_tokens: 415_800,
  gpu_cost: '1.75',
  guidance: 7.5,
  guidance_img: 3,
  heartbeat_age_seconds: 1.204,
  heartbeat_at: CREATED_AT,
  i2v_condition: null,
  image_url: 'https://example.com/boat.png',
  interval: '1m',
  key: 'sk-sluice-C2FVsBQIhrscChlQIMVb5sSYspob7oDC2FVsBQIhr',
  key_id: IDS.key,
  key_name: 'web shop',
  kind: 'settle',
  label: 'web shop',
  last_id: IDS.video,
  last_submitted_at: CREATED_AT,
  licence: 'Apache-2.0',
  limit: 10_000_000,
  limit_remaining: 9_584_200,
  limit_reset: 'daily',
  margin: 0.3,
  max: 129,
  max_price: null,
  message: 'num_frames is 100: allowed is 4k+1 from 1 to 129, such as 101.',
  min: 1,
  mode: 't2v',
  model: 'open-sora-2',
  motion_score: 4,
  name: 'web shop',
  negative_prompt: '',
  not_before: null,
  num_frames: 129,
  num_steps: 50,
  owned_by: 'open-sora',
  p50: 38.5,
  p90: 52.1,
  param: 'num_frames',
  part: 'worker',
  per_million: '0.2',
  phase: 'denoise',
  pixels_max: 589_824,
  pool: 'h100x1',
  prefix: 'sk-sluice-C2',
  previous_secret_expires_at: null,
  price_per_million: '0.2',
  problem: 'no worker for open-sora-2 is connected',
  profit_over_cost: 0.43,
  progress: 100,
  prompt: 'a paper boat in the rain',
  queue_position: null,
  queued_max: 1_000,
  refined_prompt: null,
  refinement: null,
  released_at: FINISHED_AT,
  remixed_from_video_id: null,
  requests: 60,
  requests_per_minute: 60,
  resets_at: 1_790_035_200,
  retried_from: null,
  revenue_per_million: '0.2',
  revoked_at: null,
  running_max: 2,
  seconds: '5.375',
  seed: 42,
  service_tier: 'standard',
  signing_secret_hint: 'C2FV...',
  size: '336x192',
  slot: 0,
  slots: 8,
  started_at: CREATED_AT,
  state: 'charged',
  status: 'completed',
  status_code: 200,
  step: 50,
  steps: 50,
  steps_done: 50,
  subject: IDS.account,
  taken_at: CREATED_AT,
  to: CREATED_AT,
  token_budget: 10_000_000,
  tokens: 10_000_000,
  tokens_per_gpu_second: 165.2,
  transfer_id: IDS.transfer,
  type: 'invalid_request_error',
  unfinished_max: 50,
  updated_at: CREATED_AT,
  url: 'https://example.com/hooks/sluice',
  used_tokens: 415_800,
  utilisation: 0.7,
  video_id: IDS.video,
  video_tokens: 8_316,
  vram_bytes: 85_899_345_920,
  webhook_endpoint_id: IDS.webhook_endpoint,
  webhook_url: null,
  weight: 100,
  worker: IDS.worker,
}

/**
 * Gives every field of the document that has neither an example nor a fixed value one that could be real, so
 * that pages made of it show something to copy. Changes `document`.
 */
export function addExamples(document: object): void {
  const schemas = [document]
  for (let part = schemas.pop(); part !== undefined; part = schemas.pop()) {
    const { properties } = part as Part
    if (properties !== undefined) addToFields(properties)
    for (const inner of Object.values(part)) {
      if (inner !== null && typeof inner === 'object') schemas.push(inner)
    }
  }
}

function addToFields(fields: Record<string, Part>): void {
  const kind = fields.object?.const
  for (const [name, field] of Object.entries(fields)) {
    if (field === null || typeof field !== 'object' || hasValue(field)) continue
    const example = name === 'id' ? IDS[String(kind ?? 'video')] : BY_NAME[name]
    if (example !== undefined && isOfType(field, example)) field.example = example
    else if (field.enum === undefined && isOfType(field, 0)) field.example = 0
  }
}

function hasValue({ example, const: value, $ref }: Part): boolean {
  return example !== undefined || value !== undefined || $ref !== undefined
}

/** Whether a field can have the value: text, a number or null; lists and objects have none here. */
function isOfType({ type, anyOf, enum: values }: Part, value: unknown): boolean {
  if (values !== undefined) return values.includes(value)
  const types = [...[type ?? []].flat(), ...(anyOf ?? []).flatMap((one) => one.type ?? [])]
  if (value === null) return types.includes('null')
  if (typeof value === 'number')
    return types.includes(Number.isInteger(value) ? 'integer' : 'number') || types.includes('number')
  return typeof value === 'string' && types.includes('string')
}
