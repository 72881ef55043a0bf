import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

/**
 * Frees the pixel copies of the last few frames. V8 does not know how large they are (2.3 MB at 1024x576), so
 * without this hundreds of megabytes pile up before it sees a reason to collect.
 */
export async function freeFrames(): Promise<void> {
  if (typeof collect === 'function') collect({ type: 'minor' })
  // Finalizers run in the next turn of the event loop.
  await nextTurn()
}
