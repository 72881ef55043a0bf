import './global-setup.ts'
import { inject } from 'vitest'
import type { TestServers } from './test-servers.ts'

/**
 * Asks the run's set-up for one of its servers. The first request starts it, which may take long (an apt-get
 * install).
 */
export async function askServer<Name extends Exclude<keyof TestServers, 'stop'>>(
  name: Name,
): Promise<Awaited<ReturnType<TestServers[Name]>>> {
  const response = await fetch(`${inject('testServersUrl')}/${name}`)
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  return JSON.parse(text)
}
