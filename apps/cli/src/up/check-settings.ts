import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'

const ENTRIES = {
  api: fileURLToPath(new URL('../../../api/src/check-settings.ts', import.meta.url)),
  worker: fileURLToPath(new URL('../../../worker/src/check-settings.ts', import.meta.url)),
}
/** To load a program from a cold disk. */
const ANSWER_MS_MAX = 30_000

/** What is wrong with a program's settings, by its own reader, in a process that does nothing else. */
export async function faultsOfSettings(
  program: keyof typeof ENTRIES,
  environment: Record<string, string>,
): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [ENTRIES[program]], {
    env: environment,
    timeout: ANSWER_MS_MAX,
  })
  return z.array(z.string()).parse(JSON.parse(stdout))
}
