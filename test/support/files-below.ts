import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Files below a folder, as paths from it, sorted. A folder that is removed while it is read counts as empty,
 * which Node's own recursive `readdir` answers with ENOENT.
 */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const lists = entries.map(async (entry) => {
    if (!entry.isDirectory()) return [entry.name]
    return (await filesBelow(join(folder, entry.name))).map((path) => join(entry.name, path))
  })
  return (await Promise.all(lists)).flat().sort()
}
