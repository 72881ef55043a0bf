import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { freePort } from '../../../test/support/free-port.ts'
import { listen, requireFreePort } from './listen.ts'

test("a port that is taken is a fault of PORT, an address or name that is not this machine's one of HOST", async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await expect(requireFreePort('127.0.0.1', port)).rejects.toThrow(
    `PORT is "${port}": taken by another program on 127.0.0.1: stop it, or set PORT to a free port (PORT=${port + 1})`,
  )
  const elsewhere = createServer()
  await expect(listen(elsewhere, '192.0.2.1', await freePort())).rejects.toThrow(
    /^HOST is "192\.0\.2\.1": no address/,
  )
  await expect(requireFreePort('2001:db8::1', 3000)).rejects.toThrow(/^HOST is "2001:db8::1": no address/)
  await expect(requireFreePort('no.such.name.invalid', 3000)).rejects.toThrow(
    /^HOST is "no.such.name.invalid": no name/,
  )
  server.close()
})

test.each(['127.0.0.1', '::1', '::', '0.0.0.0', 'localhost'])('%s can be listened on', async (host) => {
  await requireFreePort(host, await freePort())
})
