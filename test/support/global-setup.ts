import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { createTestServers } from './test-servers.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where test files ask for the run's servers, by ask-servers.ts. */
    testServersUrl: string
  }
}

/**
 * Runs once per `vitest run`. Starts only an HTTP server on loopback, which test files ask for PostgreSQL,
 * Redis or Chromium. So a run of pure unit tests starts none of them, and each is started once, however many
 * files ask.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await checkPython()
  const servers = createTestServers()
  const asked = {
    '/postgres': servers.postgres,
    '/redis': servers.redis,
    '/chromium': servers.chromium,
    '/nginx': servers.nginx,
    '/caddy': servers.caddy,
    '/pythonOpenai': servers.pythonOpenai,
    '/pythonOpenApi': servers.pythonOpenApi,
    '/nodeOpenApi': servers.nodeOpenApi,
  }
  const http = createServer((request, response) => {
    const answer = asked[request.url as keyof typeof asked]
    const answered =
      answer === undefined ? Promise.reject(new Error(`unknown server ${request.url}`)) : answer()
    answered.then(
      (value) => response.end(JSON.stringify(value)),
      (error: unknown) => response.writeHead(500).end(error instanceof Error ? error.message : String(error)),
    )
  }).listen(0, '127.0.0.1')
  await once(http, 'listening')
  const address = http.address()
  if (address === null || typeof address === 'string') throw new Error('the test set-up has no port')
  project.provide('testServersUrl', `http://127.0.0.1:${address.port}`)
  return async () => {
    http.closeAllConnections()
    http.close()
    await servers.stop()
  }
}

/** The Open-Sora runner's tests need Python 3.10 or newer, with its standard library only. */
async function checkPython(): Promise<void> {
  const found = await promisify(execFile)('python3', [
    '-c',
    'import sys; print("%d.%d" % sys.version_info[:2])',
  ]).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  )
  const [major = 0, minor = 0] = (found ?? '').split('.').map(Number)
  if (found !== null && (major > 3 || (major === 3 && minor >= 10))) return
  throw new Error(
    `the tests need python3 3.10 or newer, found ${found ?? 'none'}. ` +
      'Run: sudo apt-get update && sudo apt-get install -y python3',
  )
}
