import { pause } from '@sluice/shared/pause'
import type { Database } from '../db/database.ts'
import { type ErrorCode, SluiceError } from '../errors.ts'

/** A repeat of a call whose connection broke is recognised for this long. */
const LOST_SECONDS = 600
/**
 * A repeat of a call that was answered here and not there (a proxy spoiled the answer) is recognised for this
 * long: SDKs wait up to a minute before they repeat.
 */
const SPOILED_SECONDS = 60
/** A refusal is repeated within this long, or never: `Retry-After` counts up to a minute. */
const REFUSED_SECONDS = 75
/** An answer that is on its way for longer was that of a process that died. */
const OPEN_MS_MAX = 3_000
const LOOK_EVERY_MS = 100
/** Notes are written together. SDKs wait at least 375 ms before they repeat. */
const WRITE_AFTER_MS = 50
const WRITE_AGAIN_MS = 1_000
const CLEAN_EVERY_MS = 60_000
/** Beyond that many the oldest are forgotten. */
const NOTES_MAX = 10_000

/** Errors that SDKs repeat; after any other a call is over. */
const REPEATED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'queue_full',
  'too_many_at_once',
  'rate_limited',
  'body_too_slow',
  'unavailable',
  'internal_error',
])

/** What is known of a call that may be a repeat of an earlier one. */
export interface RepeatedCall {
  keyId: string
  requestHash: Buffer
  /** How many times the SDK has sent this call before; it says so itself. */
  tryNumber: number
}

interface Refusal {
  /** The hash of the key's secret: a key need not have been read for its request to fail. */
  keyHash: Buffer
  requestHash: Buffer | null
  tryNumber: number
}

/**
 * Finds the video of a call that an SDK repeats by itself. SDKs send no id with a call, only how often they
 * have sent it, so calls of equal content are told apart by what became of their tries: one whose answer was
 * lost gets its video, one that was refused is a new call, and one whose answer is known to have arrived
 * leaves nothing to find. docs/adr/0024-which-call-a-repeat-repeats.md says why.
 */
export class Repeats {
  readonly #db: Database
  readonly #onError: (error: Error) => void
  /** Videos whose answer this process is about to send. */
  readonly #open = new Set<string>()
  readonly #answered = new Map<string, 'lost' | 'whole'>()
  readonly #known = new Set<string>()
  #refused: Refusal[] = []
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()
  #cleanedMs = 0
  #isClosed = false

  constructor(db: Database, onError: (error: Error) => void) {
    this.#db = db
    this.#onError = onError
  }

  /**
   * The id of the video that this call made in an earlier try, or null: it is new. Finding it takes it: no
   * other call gets it. Waits for answers of other processes that are on their way.
   */
  async find(db: Database, call: RepeatedCall): Promise<string | null> {
    await this.#write()
    const untilMs = performance.now() + OPEN_MS_MAX
    for (;;) {
      const lost = await this.#take(db, call, 'lost')
      if (lost !== null) return lost
      if (!(await this.#isUndecided(db, call)) || performance.now() > untilMs) break
      await pause(LOOK_EVERY_MS)
    }
    if (await this.#takeRefusal(db, call)) return null
    return this.#take(db, call, 'whole')
  }

  /** The second look, under the account's lock: an earlier try may have made its video since the first. */
  findUnderLock(db: Database, call: RepeatedCall): Promise<string | null> {
    return this.#take(db, call, 'lost')
  }

  /** Notes that the answer with this video is on its way. */
  noteOpen(videoId: string): void {
    this.#open.add(videoId)
  }

  /** Notes what became of the answer with this video. */
  noteAnswer(videoId: string, outcome: 'lost' | 'whole'): void {
    this.#open.delete(videoId)
    this.#answered.set(videoId, outcome)
    this.#writeSoon()
  }

  /** Notes that a caller asked for this video by its id: the answer that named it has arrived. */
  noteKnown(video: { id: string; created_at: Date }): void {
    if (Date.now() - video.created_at.getTime() > SPOILED_SECONDS * 1_000 || this.#known.has(video.id)) return
    this.#known.add(video.id)
    this.#writeSoon()
  }

  /** Notes that a try was refused or not answered, and made no video. Only what an SDK repeats counts. */
  noteRefused(error: unknown, refusal: Refusal): void {
    if (error instanceof SluiceError && !REPEATED.has(error.code)) return
    this.#refused.push(refusal)
    this.#writeSoon()
  }

  /** Writes what is noted. Never throws. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#write()
  }

  #writeSoon(afterMs = WRITE_AFTER_MS): void {
    if (this.#timer !== undefined || this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#write().catch(this.#onError)
    }, afterMs)
    this.#timer.unref()
  }

  /** One after the other, so that a later note is never overtaken by an earlier one. */
  #write(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#writeNotes())
    return this.#writing
  }

  async #writeNotes(): Promise<void> {
    const answered = [...this.#answered]
    const known = [...this.#known]
    const refused = this.#refused.slice(-NOTES_MAX)
    if (answered.length + known.length + refused.length === 0) return
    this.#answered.clear()
    this.#known.clear()
    this.#refused = []
    try {
      await this.#db.query({
        name: 'repeats-note',
        text: NOTE,
        values: [
          answered.map(([id]) => id),
          answered.map(([, outcome]) => outcome),
          known,
          refused.map(({ keyHash }) => keyHash),
          refused.map(({ requestHash }) => requestHash),
          refused.map(({ tryNumber }) => tryNumber),
        ],
      })
      await this.#clean()
    } catch (error) {
      this.#onError(error as Error)
      if (answered.length + this.#answered.size < NOTES_MAX) {
        for (const [id, outcome] of answered) {
          if (!this.#answered.has(id)) this.#answered.set(id, outcome)
        }
      }
      this.#refused = [...refused, ...this.#refused].slice(-NOTES_MAX)
      this.#writeSoon(WRITE_AGAIN_MS)
    }
  }

  async #clean(): Promise<void> {
    if (performance.now() - this.#cleanedMs < CLEAN_EVERY_MS) return
    this.#cleanedMs = performance.now()
    await this.#db.query({
      text: `
        with old as (delete from refused_try where refused_at < now() - make_interval(secs => $2))
        delete from unconfirmed_answer
        where changed_at < now() - make_interval(secs => $1)
          or (state = 'whole' and changed_at < now() - make_interval(secs => $2))`,
      values: [LOST_SECONDS, REFUSED_SECONDS],
    })
  }

  /** Takes the newest video of such a call, so that no other call gets it. */
  async #take(db: Database, call: RepeatedCall, which: 'lost' | 'whole'): Promise<string | null> {
    const { rows } = await db.query<{ video_id: string }>({
      name: `repeats-take-${which}`,
      text: `
        update unconfirmed_answer
        set state = 'open', tries = $3, changed_at = now()
        where video_id = (
          select u.video_id
          from unconfirmed_answer u
          join video v on v.id = u.video_id and v.deleted_at is null
          where u.key_id = $1 and u.request_hash = $2 and u.tries < $3 and u.video_id <> all ($4::text[])
            and (${WHICH[which]} or u.video_id = any ($5::text[]))
          order by u.video_id desc
          limit 1
          for update of u skip locked)
        returning video_id`,
      values: [call.keyId, call.requestHash, call.tryNumber, [...this.#open], this.#lost()],
    })
    const videoId = rows[0]?.video_id ?? null
    if (videoId !== null) this.#open.add(videoId)
    return videoId
  }

  /** Lost answers that are not written yet. */
  #lost(): string[] {
    return [...this.#answered].flatMap(([id, outcome]) => (outcome === 'lost' ? [id] : []))
  }

  async #takeRefusal(db: Database, { keyId, requestHash, tryNumber }: RepeatedCall): Promise<boolean> {
    const { rowCount } = await db.query({
      name: 'repeats-take-refusal',
      text: `
        delete from refused_try
        where id = (
          select id
          from refused_try
          where key_id = $1 and (request_hash = $2 or request_hash is null) and try_number = $3
            and refused_at > now() - make_interval(secs => ${REFUSED_SECONDS})
          order by request_hash is null, id
          limit 1
          for update skip locked)`,
      values: [keyId, requestHash, tryNumber - 1],
    })
    return (rowCount ?? 0) > 0
  }

  /** Whether another process is about to answer an equal call: it may be this one, were that to break. */
  async #isUndecided(db: Database, call: RepeatedCall): Promise<boolean> {
    const { rowCount } = await db.query({
      name: 'repeats-undecided',
      text: `
        select from unconfirmed_answer
        where key_id = $1 and request_hash = $2 and tries < $3 and state = 'open'
          and video_id <> all ($4::text[])
          and changed_at > now() - make_interval(secs => ${LOST_SECONDS})`,
      values: [call.keyId, call.requestHash, call.tryNumber, [...this.#open]],
    })
    return (rowCount ?? 0) > 0
  }
}

/** Notes, in the transaction that inserts videos, that the answers with them are on their way. */
export async function insertOpenAnswers(
  db: Database,
  answers: readonly (RepeatedCall & { videoId: string })[],
): Promise<void> {
  if (answers.length === 0) return
  await db.query({
    name: 'repeats-open',
    text: `
      insert into unconfirmed_answer (video_id, key_id, request_hash, tries)
      select * from unnest($1::text[], $2::text[], $3::bytea[], $4::integer[])`,
    values: [
      answers.map(({ videoId }) => videoId),
      answers.map(({ keyId }) => keyId),
      answers.map(({ requestHash }) => requestHash),
      answers.map(({ tryNumber }) => tryNumber),
    ],
  })
}

const WHICH = {
  lost: `(
    (u.state = 'lost' or (u.state = 'open' and u.changed_at < now() - interval '${OPEN_MS_MAX} milliseconds'))
    and u.changed_at > now() - make_interval(secs => ${LOST_SECONDS}))`,
  whole: `(u.state = 'whole' and u.changed_at > now() - make_interval(secs => ${SPOILED_SECONDS}))`,
} as const

const NOTE = `
  with answered as (
    update unconfirmed_answer u
    set state = a.state, changed_at = now()
    from unnest($1::text[], $2::text[]) a (video_id, state)
    where u.video_id = a.video_id and u.video_id <> all ($3::text[])
  ), known as (
    delete from unconfirmed_answer where video_id = any ($3::text[])
  )
  insert into refused_try (key_id, request_hash, try_number)
  select k.id, r.request_hash, r.try_number
  from unnest($4::bytea[], $5::bytea[], $6::integer[]) r (key_hash, request_hash, try_number)
  join api_key k on k.hash = r.key_hash`
