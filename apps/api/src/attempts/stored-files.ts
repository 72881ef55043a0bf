import { type AttemptResult, UPLOAD_CONTENT_TYPES } from '@sluice/shared/attempt-contract'
import type { ObjectStore } from '../storage/object-store.ts'
import { attemptPrefix, OUTPUT_FILES } from '../videos/video.ts'

const RESULT_FILES = ['video', 'thumbnail', 'spritesheet'] as const

/**
 * What is wrong with the files that a finished attempt names, as it is seen in the store; null when each is
 * there, of the size and type that it should be. Throws what the store throws when it is away. Never called
 * inside a transaction.
 */
export async function problemOfFiles(store: ObjectStore, result: AttemptResult): Promise<string | null> {
  const prefix = attemptPrefix(result.video, result.fence, result.claim)
  const problems = await Promise.all(
    RESULT_FILES.map(async (name) => {
      const stored = await store.head(`${prefix}/${OUTPUT_FILES[name]}`)
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
