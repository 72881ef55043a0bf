import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pause } from '@sluice/shared/pause'
import { dealFaults } from './faults/all-faults.ts'
import type { Fault } from './faults/fault.ts'
import { Client } from './load/client.ts'
import { type Clip, makeReferences } from './load/clips.ts'
import { runCustomer } from './load/customer.ts'
import { openAccounts } from './load/open-accounts.ts'
import { probe } from './load/probe.ts'
import { hasEnded, type TrackedVideo } from './load/tracked-video.ts'
import { startFleet } from './machine/fleet.ts'
import type { Installation, Layout, QueueKind, StoreKind } from './machine/installation.ts'
import { startBox } from './machine/one-box.ts'
import { type SeededRandom, seededRandom } from './seeded-random.ts'
import { findBrokenRules, findFailedVideos } from './verify/database-verdict.ts'
import { findLeftFiles, findMisplacedObjects } from './verify/file-verdict.ts'
import { findBrokenVideos } from './verify/video-verdict.ts'

/** A service that has made no video for so long after a fault has not recovered. */
const RECOVERY_MS_MAX = 120_000
/** All videos must have ended so long after the last fault. */
const SETTLE_MS_MAX = 120_000

export interface CampaignOptions {
  seed: number
  layout: Layout
  queue: QueueKind
  store: StoreKind
  /** The faults end when so many were injected, or after so long, whatever comes first. */
  faultsMax: number
  secondsMax: number
  /** Each orders one video after the other. */
  customersPerAccount: number
  /** Only faults whose names contain this. */
  only?: string
  onLine(line: string): void
  /** Ends the faults early; the verdict is still made. */
  signal?: AbortSignal
}

/** How long the next video took after a fault was over. */
export interface Recovery {
  fault: string
  hits: Fault['hits']
  ms: number
}

export interface CampaignReport {
  options: CampaignOptions
  videos: readonly TrackedVideo[]
  recoveries: readonly Recovery[]
  /** Everything that must not be. Empty = nothing was lost, nothing charged twice. */
  problems: readonly string[]
  /** Where logs lie; removed when there was no problem. */
  dir: string
}

/** Runs one campaign: references, load and faults, then the verdict. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-'))
  mkdirSync(join(dir, 'logs'))
  const { layout, queue, store, onLine } = options
  onLine(
    `seed ${options.seed}: ${layout}, queue on ${queue}, store on ${store}; logs in ${join(dir, 'logs')}`,
  )
  const installation = await (layout === 'box' ? startBox : startFleet)({ queue, store, dir })
  const problems: string[] = []
  const run: Run = {
    options,
    installation,
    random: seededRandom(options.seed),
    videos: [],
    clients: new Map(),
    problems,
    recoveries: [],
  }
  let references: ReadonlyMap<Clip, string> = new Map()
  try {
    run.clients = await openAccounts(installation)
    references = await makeReferences(anyClient(run))
    await disturb(run)
    problems.push(...(await judge(run, references)))
  } catch (error) {
    problems.push(`the campaign itself failed: ${(error as Error).stack}`)
  } finally {
    problems.push(...(await installation.stop()))
    problems.push(...(await findLeftFiles(installation)))
    for (const disk of installation.disks) disk.unmount()
  }
  if (problems.length === 0) rmSync(dir, { recursive: true, force: true })
  const { videos, recoveries } = run
  return { options, videos, recoveries, problems, dir }
}

interface Run {
  options: CampaignOptions
  installation: Installation
  random: SeededRandom
  videos: TrackedVideo[]
  /** By the name of the account. */
  clients: ReadonlyMap<string, Client>
  problems: string[]
  recoveries: Recovery[]
}

function anyClient({ clients }: Run): Client {
  const [client] = clients.values()
  if (client === undefined) throw new Error('a campaign needs an account')
  return client
}

/** Customers order while faults come one after the other; ends when each has seen its last video. */
async function disturb(run: Run): Promise<void> {
  let isOver = false
  const customers = [...run.clients].flatMap(([accountName, client]) =>
    Array.from({ length: run.options.customersPerAccount }, (_, index) =>
      runCustomer({
        client,
        accountName,
        random: run.random.fork(`${accountName}/${index}`),
        mayGoOn: () => !isOver,
        onSubmitted: (video) => run.videos.push(video),
      }).catch((error: Error) => {
        run.problems.push(`a customer of ${accountName} gave up: ${error.message}`)
      }),
    ),
  )
  try {
    await injectFaults(run)
  } finally {
    isOver = true
  }
  await Promise.race([Promise.all(customers), pause(SETTLE_MS_MAX)])
}

async function injectFaults(run: Run): Promise<void> {
  const { options, installation, recoveries } = run
  const random = run.random.fork('faults')
  const client = anyClient(run)
  const deadline = performance.now() + options.secondsMax * 1_000
  let count = 0
  for (const fault of dealFaults(installation, random)) {
    const isOver = performance.now() > deadline || options.signal?.aborted === true
    if (count >= options.faultsMax || isOver) return
    if (options.only !== undefined && !fault.name.includes(options.only)) continue
    const injected = await fault.inject(installation, random)
    if (injected === null) continue
    count += 1
    await pause(injected.holdMs)
    await injected.mend()
    const ms = await probe(client, RECOVERY_MS_MAX)
    if (ms === null) run.problems.push(`no video within ${RECOVERY_MS_MAX} ms after: ${fault.name}`)
    else recoveries.push({ fault: fault.name, hits: fault.hits, ms })
    options.onLine(
      `${count}. ${fault.name} (${injected.what}${injected.holdMs === 0 ? '' : `, ${injected.holdMs} ms`}): ` +
        `next video after ${ms === null ? 'never' : `${(ms / 1_000).toFixed(1)} s`}, ${run.videos.length} videos so far`,
    )
    await pause(random.integer(200, 1_500))
  }
}

async function judge(run: Run, references: ReadonlyMap<Clip, string>): Promise<string[]> {
  const { installation, clients, videos, options } = run
  options.onLine(`judging ${videos.length} videos`)
  await untilAllEnded(run)
  const problems: string[] = []
  for (const [name, client] of clients) {
    const own = videos.filter(({ accountName }) => accountName === name)
    problems.push(...(await findBrokenVideos(client, own, references)))
    for (const [fault, times] of client.faults) problems.push(`answered ${times} times with ${fault}`)
  }
  const failed = await findFailedVideos(installation.adminUrl())
  problems.push(...failed.map((video) => `failed: ${video}`))
  problems.push(...(await findBrokenRules(installation.adminUrl())))
  const admin = new Client(installation.origin, installation.adminKey)
  const check = await admin.call('GET', '/v1/admin/ledger/check?since=beginning')
  if (check.body?.ok !== true) problems.push(`the ledger check says ${JSON.stringify(check.body)}`)
  problems.push(...(await findMisplacedObjects(installation)))
  return problems
}

async function untilAllEnded({ videos }: Run): Promise<void> {
  const deadline = performance.now() + SETTLE_MS_MAX
  while (videos.some((video) => !hasEnded(video)) && performance.now() < deadline) await pause(250)
}
