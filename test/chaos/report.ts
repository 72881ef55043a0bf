import type { CampaignReport, Recovery } from './campaign.ts'
import type { TrackedVideo } from './load/tracked-video.ts'

/** What a campaign found, for a person at a terminal. */
export function describeReport({ videos, recoveries, problems }: CampaignReport): string {
  return [
    videoLine(videos),
    ...recoveryLines(recoveries),
    problems.length === 0
      ? 'nothing lost, nothing charged twice'
      : `${problems.length} problems:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
  ].join('\n')
}

/** The same of several campaigns together, with a line for each. */
export function describeReports(reports: readonly CampaignReport[]): string {
  const each = reports.map(
    ({ options: { layout, queue, store }, videos, recoveries, problems }) =>
      `${layout}, ${queue}, ${store}: ${videos.length} videos, ${recoveries.length} faults, ${problems.length} problems`,
  )
  const all = {
    videos: reports.flatMap(({ videos }) => videos),
    recoveries: reports.flatMap(({ recoveries }) => recoveries),
  }
  return ['', ...each, videoLine(all.videos), ...recoveryLines(all.recoveries)].join('\n')
}

function videoLine(videos: readonly TrackedVideo[]): string {
  const count = (status: string) => videos.filter((video) => video.status === status).length
  const failures = new Map<string, number>()
  for (const { status, errorCode } of videos) {
    if (status === 'failed') failures.set(errorCode ?? '?', (failures.get(errorCode ?? '?') ?? 0) + 1)
  }
  const promised = (state: string) => videos.filter(({ promise }) => promise === state).length
  const failed = [...failures].map(([code, times]) => `${times} ${code}`).join(', ')
  return (
    `${videos.length} videos: ${count('completed')} completed, ${count('deleted')} deleted, ` +
    `${count('failed')} failed${failed === '' ? '' : ` (${failed})`}; ` +
    `${videos.filter(({ setBacks }) => setBacks > 0).length} were seen to do work again; promises: ` +
    `${promised('kept')} kept, ${promised('missed')} missed, ${promised('void')} void`
  )
}

/** One line for each kind of fault, the slowest first, then one for all that hit one thing. */
function recoveryLines(recoveries: readonly Recovery[]): string[] {
  const byFault = Map.groupBy(recoveries, ({ fault }) => fault)
  const lines = [...byFault]
    .map(([fault, found]) => ({ fault, times: found.map(({ ms }) => ms).sort((a, b) => a - b) }))
    .sort((a, b) => quantile(b.times, 0.5) - quantile(a.times, 0.5))
    .map(({ fault, times }) => describeTimes(fault, times))
  const of = (hits: Recovery['hits']) =>
    recoveries.flatMap((recovery) => (recovery.hits === hits ? [recovery.ms] : [])).sort((a, b) => a - b)
  return [
    ...lines,
    describeTimes('one fault at a time', of('one')),
    describeTimes('several at once', of('several')),
  ]
}

function describeTimes(name: string, times: readonly number[]): string {
  if (times.length === 0) return `${name.padEnd(58)} none`
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`.padStart(7)
  const columns = [quantile(times, 0.5), quantile(times, 0.9), times.at(-1) ?? 0].map(seconds)
  return `${name.padEnd(58)} ${String(times.length).padStart(4)} ${columns.join(' ')}`
}

/** Of sorted values. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
