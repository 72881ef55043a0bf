import { type Browser, chromium } from 'playwright-core'
import { askServer } from './ask-servers.ts'

/** Its own errands in the background need a network that a test machine may not have. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** A Chromium without a window; Debian's package is installed when we may and it is missing. */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: (await askServer('chromium')).path, args: ARGS })
}
