import { askServer } from './ask-servers.ts'

/** Path of a Chromium for playwright-core's `executablePath`; Debian's package is installed when we may and it is missing. */
export async function findChromium(): Promise<string> {
  return (await askServer('chromium')).path
}
