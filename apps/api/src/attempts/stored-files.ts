import { type AttemptResult, UPLOAD_CONTENT_TYPES } from '@sluice/shared/attempt-contract'
import type { ObjectStore } from '../storage/object-store.ts'
import { attemptPrefix, OUTPUT_FILES, outputPrefix } from '../videos/video.ts'

const RESULT_FILES = ['video', 'thumbnail', 'spritesheet'] as const

/**
 * Copies the files that a finished attempt names to where its video is served from, which no signed URL ever
 * reaches, so that what was looked at is what the owner gets. Returns what is wrong with them, as it is seen
 * in the store; null when each is there, of the size and type that it should be. May be repeated. Throws what
 * the store throws when it is away. Never called inside a transaction.
 */
export async function keepFiles(store: ObjectStore, result: AttemptResult): Promise<string | null> {
  const { video, fence, claim } = result
  const from = attemptPrefix(video, fence, claim)
  const to = outputPrefix(video, fence, claim)
  const problems = await Promise.all(
    RESULT_FILES.map(async (name) => {
      const stored = await store.copy(`${from}/${OUTPUT_FILES[name]}`, `${to}/${OUTPUT_FILES[name]}`)
      const { bytes } = result.files[name]
      const type = UPLOAD_CONTENT_TYPES[name]
      if (stored === null) return `${OUTPUT_FILES[name]} is not in the store`
      if (stored.bytes !== bytes) return `${OUTPUT_FILES[name]} has ${stored.bytes} bytes, not ${bytes}`
      return stored.contentType === type
        ? null
        : `${OUTPUT_FILES[name]} is ${stored.contentType}, not ${type}`
    }),
  )
  return problems.find((problem) => problem !== null) ?? null
}
