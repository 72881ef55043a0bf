import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Generation } from '@sluice/shared/generation'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'

type References = NonNullable<Extract<RunnerRequest, { type: 'generate' }>['references']>

/** The file that arrived is not the one that was stored at submission. */
export class InputDamagedError extends Error {
  override name = 'InputDamagedError'
}

/** Throws InputDamagedError unless the file's SHA-256 (hex) is this one; undefined = any will do. */
export async function requireHash(path: string, sha256: string | undefined): Promise<void> {
  const found = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
  if (sha256 !== undefined && found !== sha256)
    throw new InputDamagedError(`its SHA-256 is ${found}, not ${sha256}`)
}

/** The image at the start of the clip, its end, or both, as the request says. */
export function referencesOf(request: Generation, path: string): References {
  const head = { position: 'head' as const, path }
  const tail = { position: 'tail' as const, path }
  return { head: [head], tail: [tail], loop: [head, tail] }[request.i2v_condition ?? 'head']
}
