import { join } from 'node:path'
import { RunnerFailure } from '@sluice/runner/runner-failure'
import { UnusableVideoError, writeStillsOf } from '@sluice/runner/stills-of-video'
import type { Generation } from '@sluice/shared/generation'
import { pause } from '@sluice/shared/pause'
import { jobPath } from './dialects/common.ts'
import { type Engine, growingPauses } from './engine.ts'
import { EngineAwayError } from './engine-error.ts'

export interface CollectedVideo {
  files: { video: string; thumbnail: string; spritesheet: string }
  /** Seconds. */
  timings: { download: number; stills: number }
}

/** What is taken from an engine once a job is completed. */
export interface Collection {
  engine: Engine
  job: string
  generation: Generation
  folder: string
  log: (line: string) => void
}

/** A file that came broken is fetched once more: the line may be at fault, or the engine's disk. */
const FETCHES_MAX = 2

/**
 * Downloads the video of a completed job and makes its stills. Throws RunnerFailure `bad_output` when it is
 * not what was asked for, EngineAwayError when it does not come.
 */
export async function collect(collection: Collection): Promise<CollectedVideo> {
  const { generation, folder } = collection
  const video = join(folder, 'video.mp4')
  for (let fetches = 1; ; fetches++) {
    const begun = performance.now()
    await fetchPatiently(collection, video)
    const fetched = performance.now()
    try {
      const stills = await writeStillsOf(video, generation, folder)
      const timings = { download: (fetched - begun) / 1_000, stills: (performance.now() - fetched) / 1_000 }
      return { files: { video, ...stills }, timings }
    } catch (error) {
      if (!(error instanceof UnusableVideoError)) throw error
      if (error.isBroken && fetches < FETCHES_MAX) continue
      await forget(collection)
      throw new RunnerFailure('bad_output', `of the engine's video: ${error.message}`, true)
    }
  }
}

async function fetchPatiently(collection: Collection, file: string): Promise<void> {
  const { engine, job, log } = collection
  const untilMs = performance.now() + engine.awayMs
  for (const waitMs of growingPauses()) {
    const why = await engine.http.download(`${jobPath(job)}/content`, file).then(
      (refusal) => (refusal === null ? null : `GET: HTTP ${refusal.status} ${refusal.words}`),
      (error: unknown) => {
        if (error instanceof EngineAwayError) return error.message
        throw error
      },
    )
    if (why === null) return
    if (performance.now() > untilMs) {
      await forget(collection)
      throw new RunnerFailure(
        'bad_output',
        `the engine does not give the video that it completed: ${why}`,
        true,
      )
    }
    log(`the video of job ${job} is fetched again: ${why}`)
    await pause(waitMs)
  }
}

/** The next attempt shall not be given the same file. */
async function forget({ engine, job, log }: Collection): Promise<void> {
  await engine.tell(engine.dialect.remove(job), log)
}
