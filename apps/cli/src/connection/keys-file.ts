import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const keysSchema = z.object({ key: z.string(), admin_key: z.string(), base_url: z.string() })
/**
 * What the API writes at its first start: the first account's key, the operator's, and the base URL, which
 * ends in /v1.
 */
export type Keys = z.infer<typeof keysSchema>

/** Reads keys.json. Null when there is none; throws when it cannot be read or holds something else. */
export async function readKeys(path: string): Promise<Keys | null> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    throw error
  })
  if (text === null) return null
  const parsed = keysSchema.safeParse(JSON.parse(text))
  if (!parsed.success) {
    throw new Error(
      `${path} must be {"key", "admin_key", "base_url"}: ${parsed.error.issues[0]?.message ?? ''}`,
    )
  }
  return parsed.data
}
