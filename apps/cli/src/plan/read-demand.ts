import { capabilityOf } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { frameRuleText, makesFrames } from '@sluice/shared/models/frame-rule'
import { MODES, type Model } from '@sluice/shared/models/model'
import { formatSize, sizeOf } from '@sluice/shared/models/sizes'
import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { videoTokens } from '@sluice/shared/token-count'
import type { Faults } from './faults.ts'
import type { HourlyDemand, PlannedAccount, PlannedVideo, Trace } from './plan.ts'
import { sizeIn } from './read-pools.ts'
import type { Row } from './row.ts'
import { type PlanText, sectionRows } from './sections.ts'

/** Videos in an hour: what a fleet of a hundred thousand GPUs makes. */
export const VIDEOS_PER_HOUR_MAX = 10_000_000
/** A leap year. Everything is looked at in steps of ten minutes, all the time that a trace takes. */
export const TRACE_DAYS_MAX = 366
export const DAY_MS = 86_400_000
const STEPS_MAX = 10_000
const VIDEO_FIELDS = ['model', 'mode', 'size', 'frames', 'steps', 'tier', 'account', 'class', 'video_tokens']

interface ReadBy {
  catalogue: Catalogue
  accounts: readonly PlannedAccount[]
}

/** What a plan asks for: its kinds of videos, where each stands in it, and of a trace when they come. */
export interface ReadVideos {
  mix: PlannedVideo[]
  places: string[]
  trace: Trace | null
}

/** Reads `mix`. Videos that name no account are shared out to all, by the accounts' shares. */
export function readMix(text: PlanText, by: ReadBy, faults: Faults): ReadVideos {
  const mix: PlannedVideo[] = []
  const places: string[] = []
  for (const row of sectionRows(text, 'mix', faults)) {
    row.allow([...VIDEO_FIELDS, 'share'])
    const share = row.number('share', { min: 0.000001, max: 1e12, otherwise: 1 })
    const video = readVideo(row, by)
    for (const part of row.has('account') ? [{ account: video.account, share: 1 }] : sharesOf(by.accounts)) {
      mix.push({ ...video, account: part.account, share: share * part.share })
      places.push(row.place)
    }
  }
  return { mix, places, trace: null }
}

/** The accounts that take part in the mix, and their shares of it, which add up to 1. */
function sharesOf(accounts: readonly PlannedAccount[]): { account: string; share: number }[] {
  const sum = accounts.reduce((total, { share }) => total + share, 0)
  if (sum === 0) return accounts.map(({ account }) => ({ account, share: 1 / accounts.length }))
  return accounts
    .filter(({ share }) => share > 0)
    .map(({ account, share }) => ({ account, share: share / sum }))
}

/** Reads `trace`: a submission a row, in the order of their times. */
export function readTrace(text: PlanText, by: ReadBy, faults: Faults): ReadVideos {
  const mix: PlannedVideo[] = []
  const places: string[] = []
  const known = new Map<string, number>()
  const times: number[] = []
  let beginsMs: number | undefined
  const mixIndex: number[] = []
  const only = by.accounts.length === 1 ? by.accounts[0]?.account : undefined
  for (const row of sectionRows(text, 'trace', faults)) {
    const key = row.join(VIDEO_FIELDS)
    let index = known.get(key)
    if (index === undefined) {
      row.allow([...VIDEO_FIELDS, 'at'])
      if (!row.has('account') && only === undefined) row.refuse('account', 'allowed is one of accounts')
      index = mix.push({ ...readVideo(row, by), share: 0 }) - 1
      known.set(key, index)
      places.push(row.place)
    }
    const atMs = readTime(row)
    if (atMs === null) continue
    beginsMs ??= beginningOf(atMs)
    if (atMs - beginsMs > TRACE_DAYS_MAX * DAY_MS) {
      const beginning = beginsMs === 0 ? '0' : new Date(beginsMs).toISOString()
      row.refuse('at', `allowed are ${TRACE_DAYS_MAX} days from the beginning, ${beginning}`)
      continue
    }
    const before = times.at(-1)
    if (before !== undefined && atMs < before && !row.isFaulty)
      row.refuse('at', 'it is before the one above it')
    times.push(atMs)
    mixIndex.push(index)
    const video = mix[index]
    if (video !== undefined) video.share += 1
  }
  const atMs = Float64Array.from(times, (ms) => ms - (beginsMs ?? 0))
  return { mix, places, trace: { kind: 'trace', atMs, mixIndex: Uint32Array.from(mixIndex) } }
}

const HOUR_MS = 3_600_000
/** Ten years: seconds from the beginning end here, and what is later is a time since 1970. */
const FIRST_TIME_MS = 3_660 * DAY_MS

/** Seconds count from 0; of times the hour of the first is where a trace begins. */
function beginningOf(firstMs: number): number {
  return firstMs >= FIRST_TIME_MS ? Math.floor(firstMs / HOUR_MS) * HOUR_MS : 0
}

/** Null when it is no time. */
function readTime(row: Row): number | null {
  const text = row.text('at')
  if (/^\d{1,9}(\.\d{1,9})?$/.test(text) && Number(text) * 1_000 < FIRST_TIME_MS) return Number(text) * 1_000
  const timeMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (timeMs >= FIRST_TIME_MS) return timeMs
  row.refuse('at', 'allowed are seconds from the beginning, or a time such as 2026-01-31T12:00:00Z')
  return null
}

/** Reads `demand`: how many videos, or generated tokens, are expected in each hour of the day. */
export function readHours(text: PlanText, mix: readonly PlannedVideo[], faults: Faults): HourlyDemand {
  const videosPerHour: number[] = []
  for (const row of sectionRows(text, 'demand', faults)) {
    row.allow(['hours', 'videos', 'tokens'])
    if (row.has('videos') && row.has('tokens')) row.refuse('tokens', 'allowed is either that or videos')
    const videos = row.has('tokens')
      ? row.number('tokens', { min: 0, max: 1e18 }) / tokensPerVideo(mix)
      : row.number('videos', { min: 0, max: VIDEOS_PER_HOUR_MAX })
    if (videos > VIDEOS_PER_HOUR_MAX) row.refuse('tokens', `that is more than ${VIDEOS_PER_HOUR_MAX} videos`)
    for (const hour of readHourRange(row)) {
      if (videosPerHour[hour] !== undefined) row.refuse('hours', 'each hour stands there once')
      videosPerHour[hour] = videos
    }
  }
  const missing = Array.from({ length: 24 }, (_, hour) => hour).filter((hour) => !(hour in videosPerHour))
  if (faults.count === 0 && missing.length > 0)
    faults.add('demand', `lacks hour ${missing.join(', ')}: allowed are all of 0 to 23, also as 0-7`)
  if (faults.count === 0 && videosPerHour.every((videos) => videos === 0))
    faults.add('demand', 'asks for no video')
  return { kind: 'hours', videosPerHour }
}

function readHourRange(row: Row): number[] {
  const [, from, to = from] = /^(\d{1,2})(?:-(\d{1,2}))?$/.exec(row.text('hours')) ?? []
  const [first, last] = [Number(from ?? 99), Number(to ?? 99)]
  if (first <= last && last <= 23)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  row.refuse('hours', 'allowed is an hour from 0 to 23, or several such as 9-17')
  return []
}

function tokensPerVideo(mix: readonly PlannedVideo[]): number {
  const shares = mix.reduce((sum, { share }) => sum + share, 0)
  const tokens = mix.reduce((sum, { share, tokens: each }) => sum + share * Number(each), 0)
  return shares === 0 || tokens === 0 ? 1 : tokens / shares
}

/** What one row of `mix` or `trace` asks for. A model that is not in the catalogue says its tokens itself. */
function readVideo(row: Row, { catalogue, accounts }: ReadBy): PlannedVideo {
  const modelId = row.name('model')
  const model = catalogue.find(modelId)
  const size = sizeIn(row)
  const frames = row.whole('frames', { min: 1, max: 1_000_000 })
  const made = row.isFaulty ? NOTHING : tokensIn(row, { model, ...size, frames })
  const steps = row.whole('steps', { min: 1, max: STEPS_MAX })
  const account = row.name('account', accounts[0]?.account)
  if (account !== '' && !accounts.some((one) => one.account === account))
    row.refuse('account', `allowed are ${accounts.map((one) => one.account).join(', ')}`)
  return {
    model: modelId,
    capability: capabilityOf({ model: modelId, mode: row.choice('mode', MODES, 't2v') }),
    ...size,
    num_frames: frames,
    num_steps: steps,
    tier: row.choice('tier', SERVICE_TIERS, 'standard'),
    account,
    ...made,
    tokens: made.video_tokens * BigInt(steps),
    share: 1,
  }
}

const NOTHING = { resolution: '', video_tokens: 1n }

function tokensIn(
  row: Row,
  {
    model,
    width,
    height,
    frames,
  }: { model: Model | undefined; width: number; height: number; frames: number },
): { resolution: string; video_tokens: bigint } {
  if (row.has('class') && row.has('video_tokens'))
    return {
      resolution: row.name('class'),
      video_tokens: BigInt(row.whole('video_tokens', { min: 1, max: 1e12 })),
    }
  if (model === undefined) {
    row.refuse('model', 'allowed is a model of the catalogue, or any with its class and video_tokens')
    return NOTHING
  }
  const made = sizeOf(model, { width, height })
  if (made === undefined)
    row.refuse('size', `allowed is a size that ${model.id} makes, such as ${usual(model)}`)
  if (!makesFrames(model.frames, frames)) {
    const { min, max } = model.frames
    row.refuse('frames', `allowed is ${frameRuleText(model.frames)} from ${min} to ${max}`)
  }
  return {
    resolution: made?.resolution ?? '',
    video_tokens: videoTokens(model.tokens, { width, height, frames }),
  }
}

function usual({ sizes }: Model): string {
  return sizes.slice(0, 3).map(formatSize).join(', ')
}
