import { access, constants, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { UsageError } from './connection/find-connection.ts'

/** An option that names a file, and the file. */
export interface OutputFile {
  /** As it is written, such as `--output`. */
  option: string
  path: string
}

/**
 * Throws UsageError when the option names what cannot be written, or what a file may not take the place of:
 * what is written is renamed to it, and root may do that to /dev/null. Before anything is asked for.
 */
export async function requireWritable({ option, path }: OutputFile): Promise<void> {
  const existing = await stat(path).catch(() => null)
  if (existing?.isDirectory()) throw new UsageError(`${option} must name a file, ${path} is a folder`)
  if (existing !== null && !existing.isFile())
    throw new UsageError(`${option} must name a file, ${path} is a device or a pipe`)
  const folder = dirname(resolve(path))
  await access(folder, constants.W_OK).catch(() => {
    throw new UsageError(`${option}: the folder ${folder} is not there or cannot be written`)
  })
}

/** Writes the file, which appears whole or not at all. Throws UsageError as `requireWritable` does. */
export async function writeOutput(file: OutputFile, text: string): Promise<void> {
  await requireWritable(file)
  const part = `${file.path}.part-${process.pid}`
  try {
    await writeFile(part, text)
    await rename(part, file.path)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`${file.option}: ${file.path} cannot be written: ${why}`, { cause: error })
  } finally {
    await rm(part, { force: true })
  }
}
