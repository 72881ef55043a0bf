import { type AttemptJob, jobId } from '@sluice/shared/attempt-contract'

/** How often a job is left to others before this worker takes it, whatever it was meant for. */
const LEFT_MAX = 3
/** Jobs held at a time while another is looked for; more than wait at once for the slots of a small pool. */
export const LEFT_AT_ONCE_MAX = 8
/** Jobs that are remembered: those of the last seconds. */
const REMEMBERED_MAX = 256

/**
 * Which jobs this worker leaves to the others of its queue, since they were meant for a slot with another
 * model loaded. Each only a few times: whoever has that slot may be gone.
 */
export class LeftJobs {
  readonly #times = new Map<string, number>()

  /** Whether to leave the job, which is remembered then. `wantsWith`: a slot with this loaded wants a job. */
  leaves(job: AttemptJob, wantsWith: (loaded: string) => boolean): boolean {
    if (job.loaded === undefined || wantsWith(job.loaded)) return false
    const id = jobId(job.video, job.fence)
    const times = this.#times.get(id) ?? 0
    this.#times.delete(id)
    if (times >= LEFT_MAX) return false
    this.#times.set(id, times + 1)
    const [oldest] = this.#times.keys()
    if (this.#times.size > REMEMBERED_MAX && oldest !== undefined) this.#times.delete(oldest)
    return true
  }
}
