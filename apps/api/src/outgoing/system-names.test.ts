import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { runProgram } from '../../../../test/support/run-program.ts'
import { mayMount } from '../../../../test/support/small-disk.ts'
import { systemAddresses } from './system-names.ts'

const SILENT = '127.77.5.3'

/**
 * Runs a program for which the system's only name server is one that never answers, in the same network.
 * Returns its output.
 */
async function runWithSilentNameServer(program: string): Promise<string> {
  const server = createSocket('udp4').bind(53, SILENT)
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const dir = mkdtempSync(join(tmpdir(), 'sluice-names-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const servers = join(dir, 'resolv.conf')
  writeFileSync(servers, `nameserver ${SILENT}\noptions timeout:3 attempts:1\n`)
  const file = join(dir, 'program.ts')
  writeFileSync(file, program)
  return await runProgram(
    'unshare',
    [
      '--mount',
      'sh',
      '-c',
      'mount --bind "$0" /etc/resolv.conf && exec "$@"',
      servers,
      process.execPath,
      file,
    ],
    { cwd: dir, env: { PATH: process.env.PATH ?? '' }, withinMs: 60_000 },
  )
}

const PATIENT = 'AbortSignal.timeout(20_000)'
const CALLERS = [
  [
    'hosts that the operator allows',
    `import { resolveHost } from '${import.meta.dirname}/resolve-host.ts'
    const ask = (n) => {
      const host = \`h\${n}.silent.test\`
      const target = { url: new URL(\`http://\${host}/\`), host, isAllowed: true }
      return resolveHost(target, 'url', { allowHosts: new Set() }, ${PATIENT})
    }`,
  ],
  [
    'a service of the operator',
    `import { askJson } from '${import.meta.dirname}/ask-json.ts'
    const ask = () => askJson('http://moderation.silent.test/', { body: {}, key: undefined, timeoutMs: 20_000 })`,
  ],
] as const

test.skipIf(!mayMount()).each(CALLERS)(
  '%s whose name server is silent delay no other name, such as that of the database',
  async (_who, caller) => {
    const output = await runWithSilentNameServer(`
      import { lookup } from 'node:dns/promises'
      ${caller}
      const settled = []
      for (let n = 0; n < 8; n += 1) ask(n).then(() => settled.push('found'), () => settled.push('failed'))
      // They are asked a moment later; the other name comes after them.
      await new Promise(setImmediate)
      await lookup('localhost')
      console.log('localhost after', settled.length)
      process.exit()
    `)
    expect(output).toBe('localhost after 0\n')
  },
)

test('whoever waits for the same name gets the same answer, and a name that has none is asked again', async () => {
  const signal = AbortSignal.timeout(20_000)
  const both = await Promise.all([systemAddresses('localhost', signal), systemAddresses('localhost', signal)])
  expect(both[0]).toContainEqual({ address: '127.0.0.1', family: 4 })
  expect(both[1]).toBe(both[0])
  await expect(systemAddresses('not a name', signal)).rejects.toThrow()
  await expect(systemAddresses('not a name', signal)).rejects.toThrow()
  expect(await systemAddresses('localhost', signal)).toEqual(both[0])
  await expect(systemAddresses('localhost', AbortSignal.abort(new Error('late')))).rejects.toThrow('late')
})
