import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Mutant } from './mutant.ts'

/** The file's text with the change in it. Throws when the place to change is not there exactly once. */
export function mutatedText(root: string, { file, find, replace }: Mutant): string {
  const text = readFileSync(join(root, file), 'utf8')
  const places = text.split(find).length - 1
  if (places !== 1) throw new Error(`${file} has ${JSON.stringify(find)} ${places} times, not once`)
  return text.replace(find, () => replace)
}

/** Changes the file below `root`; returns what puts it back. */
export function applyMutant(root: string, mutant: Mutant): () => void {
  const path = join(root, mutant.file)
  const before = readFileSync(path, 'utf8')
  writeFileSync(path, mutatedText(root, mutant))
  return () => writeFileSync(path, before)
}
