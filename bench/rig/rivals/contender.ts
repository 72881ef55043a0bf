/** One service in the comparison. */
export interface Contender {
  name: string
  url: string
  /** A submission of a video that nobody makes. `turn` counts the submissions. */
  acceptRequest(turn: number): Buffer
  /** Milliseconds from the submission of a video to the moment when its worker has begun with it. */
  startMs(): Promise<number>
  /** What one worker does with a full queue of `videos`, each of a tenth of a second. */
  workOff(videos: number): Promise<AtWork>
  close(): Promise<void>
}

/** Of the device of one worker, from its first video's beginning to its last one's end. */
export interface AtWork {
  workMs: number
  allMs: number
}

/** What a video takes on the device, and what a call of the store takes. */
export const WORK_MS = 100
export const STORE_MS = 50

/** The time in milliseconds that other processes of this machine see too. */
export const wallMs = (): number => performance.timeOrigin + performance.now()

/** Of jobs in the order they were made. */
export function atWork(jobs: readonly { beganMs: number; endedMs: number }[]): AtWork {
  const first = jobs[0]
  const last = jobs.at(-1)
  if (first === undefined || last === undefined) throw new Error('no job was made')
  return {
    workMs: jobs.reduce((sum, { beganMs, endedMs }) => sum + endedMs - beganMs, 0),
    allMs: last.endedMs - first.beganMs,
  }
}
