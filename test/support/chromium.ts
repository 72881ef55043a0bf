import { type Browser, chromium } from 'playwright-core'
import { askServer } from './ask-servers.ts'

/** Without Chromium's background services, which need a network that a test machine may not have. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Starts a headless Chromium; when it is missing, Debian's package is installed if we may. */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: (await askServer('chromium')).path, args: ARGS })
}
