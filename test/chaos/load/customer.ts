import { pause } from '@sluice/shared/pause'
import type { SeededRandom } from '../seeded-random.ts'
import type { Client } from './client.ts'
import { CLIPS } from './clips.ts'
import { hasEnded, note, type Plan, type TrackedVideo } from './tracked-video.ts'

/** Some are kept under faults, and some are missed. */
const MAX_WAIT_SECONDS = [2, 20] as const
/** A customer's poll. */
const POLL_MS = 400
/** A video that has not ended after so long is lost. */
const VIDEO_MS_MAX = 180_000

export interface CustomerOptions {
  client: Client
  accountName: string
  random: SeededRandom
  /** Asked before each submission; false = enough. */
  mayGoOn(): boolean
  onSubmitted(video: TrackedVideo): void
}

/** Orders one video after the other and treats each in its own way, until `mayGoOn` says no. */
export async function runCustomer(options: CustomerOptions): Promise<void> {
  const { random } = options
  while (options.mayGoOn()) {
    const plan = drawPlan(random)
    const video = await submit(options, plan)
    if (video === null) continue
    await see(options, video)
    if (plan === 'retry' && video.status === 'failed') await retry(options, video)
  }
}

function drawPlan(random: SeededRandom): Plan {
  const draw = random.integer(1, 100)
  if (draw <= 12) return 'cancel'
  if (draw <= 20) return 'delete'
  if (draw <= 26) return 'retry'
  return 'wait'
}

async function submit(options: CustomerOptions, plan: Plan): Promise<TrackedVideo | null> {
  const { client, random, accountName } = options
  const clip = random.pick(CLIPS)
  const tier = random.pick(['standard', 'standard', 'standard', 'flex', 'priority'])
  const order = async (more: object) =>
    client.call('POST', '/v1/videos', {
      body: { ...clip, service_tier: tier, ...more },
      idempotencyKey: `chaos-${random.fraction()}-${random.fraction()}`,
    })
  const mayPromise = tier !== 'flex' && accountName !== 'first'
  const promised = mayPromise ? await order({ max_wait: random.integer(...MAX_WAIT_SECONDS) }) : null
  // While the service is broken little can be promised.
  const isRefused = promised?.status === 409 && promised.body.error?.code === 'cannot_be_promised'
  const { status, body } = promised === null || isRefused ? await order({}) : promised
  if (status !== 200) throw new Error(`a submission was answered ${status}: ${JSON.stringify(body)}`)
  return track(options, body, { clip, plan })
}

function track(
  options: CustomerOptions,
  body: { id: string },
  { clip, plan }: Pick<TrackedVideo, 'clip' | 'plan'>,
): TrackedVideo {
  const video: TrackedVideo = {
    id: body.id,
    accountName: options.accountName,
    clip,
    plan,
    submittedAtMs: performance.now(),
    endedAtMs: null,
    status: 'queued',
    errorCode: null,
    progress: 0,
    setBacks: 0,
    charged: null,
    promise: null,
    violations: [],
  }
  options.onSubmitted(video)
  return video
}

/** Follows a video to its end, and does to it what its plan says on the way. */
async function see(options: CustomerOptions, video: TrackedVideo): Promise<void> {
  const { client, random } = options
  const deadline = video.submittedAtMs + VIDEO_MS_MAX
  const actAtMs = performance.now() + random.integer(0, 1_500)
  let hasActed = video.plan === 'wait'
  while (performance.now() < deadline) {
    await pause(POLL_MS)
    if (!hasActed && performance.now() >= actAtMs) {
      hasActed = true
      await act(client, video)
    }
    if (hasEnded(video)) return
    const { status, body } = await client.call('GET', `/v1/videos/${video.id}`)
    if (status === 200) note(video, body, performance.now())
    else if (status === 404 && video.plan === 'delete') markDeleted(video)
    else video.violations.push(`reading it was answered ${status}`)
  }
}

async function act(client: Client, video: TrackedVideo): Promise<void> {
  if (video.plan === 'delete') {
    const { status } = await client.call('DELETE', `/v1/videos/${video.id}`)
    if (status === 200 || status === 404) markDeleted(video)
    else video.violations.push(`deleting it was answered ${status}`)
    return
  }
  const { status, body } = await client.call('POST', `/v1/videos/${video.id}/cancel`)
  // A video that has just ended cannot be cancelled any more: that is said with 409.
  if (status !== 200 && status !== 409)
    video.violations.push(`cancelling it was answered ${status}: ${JSON.stringify(body)}`)
}

function markDeleted(video: TrackedVideo): void {
  video.status = 'deleted'
  video.endedAtMs = performance.now()
}

async function retry(options: CustomerOptions, failed: TrackedVideo): Promise<void> {
  const { client, random } = options
  const { status, body } = await client.call('POST', `/v1/videos/${failed.id}/retry`, {
    idempotencyKey: `chaos-retry-${random.fraction()}`,
  })
  if (status !== 200) {
    failed.violations.push(`making it again was answered ${status}: ${JSON.stringify(body)}`)
    return
  }
  await see(options, track(options, body, { clip: failed.clip, plan: 'wait' }))
}
