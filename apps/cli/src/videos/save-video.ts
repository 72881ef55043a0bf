import { access, constants, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { UsageError } from '../connection/find-connection.ts'
import { sizeText } from '../size-text.ts'
import { secondsText } from './progress-text.ts'
import type { Video } from './video.ts'

/**
 * Throws UsageError when `--output` names what cannot be written, or what a file may not take the place of:
 * the download is renamed to it, and root may do that to /dev/null.
 */
export async function requireWritable(output: string): Promise<void> {
  const existing = await stat(output).catch(() => null)
  if (existing?.isDirectory()) throw new UsageError(`--output must name a file, ${output} is a folder`)
  if (existing !== null && !existing.isFile())
    throw new UsageError(`--output must name a file, ${output} is a device or a pipe`)
  const folder = dirname(resolve(output))
  await access(folder, constants.W_OK).catch(() => {
    throw new UsageError(`--output: the folder ${folder} is not there or cannot be written`)
  })
}

/** `boat.mp4: 1.2 MB, 336x192, 5.38 s`. */
export function savedText(video: Video, name: string, bytes: number): string {
  return `${name}: ${sizeText(bytes)}, ${video.size}, ${secondsText(video.seconds)}`
}
