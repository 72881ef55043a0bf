import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { startNameServer } from '../../../../test/support/name-server.ts'
import { checkOutgoingUrl, guardedFetch, type OutgoingRequest } from './guarded-fetch.ts'
import { OutgoingError, type OutgoingRules } from './outgoing-url.ts'
import { isPublicAddress } from './public-address.ts'

const NOBODY: OutgoingRules = { allowHosts: new Set() }
const LOOPBACK: OutgoingRules = { allowHosts: new Set(['127.0.0.1', '127.0.0.2', '::1', 'turning.test']) }

const refusedFor = async (url: string, rules: OutgoingRules) => {
  const error: unknown = await checkOutgoingUrl(url, 'webhook_url', rules).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (error === null) return null
  if (!(error instanceof OutgoingError)) throw error
  expect(error).toMatchObject({
    code: 'invalid_value',
    param: 'webhook_url',
    message: expect.stringMatching(/^webhook_url .*allowed is /),
  })
  return error.reason
}

const HOSTILE_ADDRESSES = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '100.64.0.1',
  '100.100.100.200',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192',
  '192.0.2.1',
  '192.168.1.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '::ffff:0:127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::a00:1',
  '100::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '3fff::1',
  '5f00::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fec0::1',
  'ff02::1',
]

describe('no customer names a host that is not public', () => {
  test.each(HOSTILE_ADDRESSES)(
    '%s is refused as an address and as what a name resolves to',
    async (address) => {
      expect(isPublicAddress(address)).toBe(false)
      expect(
        await refusedFor(`https://${address.includes(':') ? `[${address}]` : address}/hook`, NOBODY),
      ).toBe('forbidden_host')
      await using names = await startNameServer(() => [address])
      expect(await refusedFor('https://inside.test/hook', { ...NOBODY, nameServers: [names.address] })).toBe(
        'forbidden_host',
      )
    },
  )

  test.each(['8.8.8.8', '93.184.215.14', '172.15.0.1', '172.32.0.1', '2606:4700::1111', '2a00:1450:4001::1'])(
    '%s is public',
    async (address) => {
      expect(isPublicAddress(address)).toBe(true)
      expect(
        await refusedFor(`https://${address.includes(':') ? `[${address}]` : address}/hook`, NOBODY),
      ).toBe(null)
    },
  )

  test.each([
    'https://2130706433/',
    'https://0x7f000001/',
    'https://017700000001/',
    'https://0177.0.0.1/',
    'https://0x7f.1/',
    'https://127.1/',
    'https://127.0.0.1./',
    'https://127.0.0.1../',
    'https://0/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://localhost/',
    'https://LOCALHOST./',
    'https://localhost../',
    'https://a.localhost/',
    'https://①②⑦.⓪.⓪.①/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[fd00:ec2::254]/',
    'https://%31%32%37.0.0.1/',
    'https://2852039166/',
  ])('%s is refused however it is written', async (url) => {
    expect(await refusedFor(url, NOBODY)).toBe('forbidden_host')
  })

  test.each([
    'http://example.com/',
    'http://8.8.8.8/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'data:text/plain,hi',
    'gopher://example.com/',
    'https://user@example.com/',
    'https://user:secret@8.8.8.8/',
    'https://',
    'https://./',
    '//example.com',
    'x',
    '',
    `https://8.8.8.8/${'x'.repeat(2_048)}`,
    'https://[fe80::1%25eth0]/',
    ' https://8.8.8.8/',
    'https://8.8.8.8/\u0000',
    'https://8.8.8.8/a\tb',
    'https://8.8.8.8/\ud800',
    'https://exa mple.com/',
  ])('%s is no URL to use, and a password in it is not repeated', async (url) => {
    expect(await refusedFor(url, NOBODY)).toBe('invalid_url')
    const error: Error = (await checkOutgoingUrl(url, 'webhook_url', NOBODY).catch(
      (thrown: Error) => thrown,
    )) as Error
    expect(error.message).not.toContain('secret')
  })

  test('one private address among several public ones refuses the name', async () => {
    await using names = await startNameServer(
      (name) =>
        ({
          'mixed.test': ['8.8.8.8', '10.0.0.7', '9.9.9.9'],
          'six.test': ['8.8.8.8', '::1'],
          'good.test': ['8.8.8.8', '2606:4700::1111'],
        })[name],
    )
    const rules = { ...NOBODY, nameServers: [names.address] }
    expect(await refusedFor('https://mixed.test/', rules)).toBe('forbidden_host')
    expect(await refusedFor('https://six.test/', rules)).toBe('forbidden_host')
    expect(await refusedFor('https://good.test/', rules)).toBe(null)
    expect(await refusedFor('https://nowhere.test/', rules)).toBe('unknown_host')
    const error = (await checkOutgoingUrl('https://mixed.test/', 'webhook_url', rules).catch(
      (thrown: Error) => thrown,
    )) as Error
    expect(error.message).not.toContain('10.0.0.7')
  })

  test('name servers that do not answer refuse nothing at submission, everything at sending', async () => {
    await using names = await startNameServer(() => [], new Set(['silent.test']))
    const rules = { ...NOBODY, nameServers: [names.address] }
    expect(await refusedFor('https://silent.test/', rules)).toBe(null)
    await expect(
      guardedFetch('https://silent.test/', { ...GET, rules, timeoutMs: 100 }),
    ).rejects.toMatchObject({ reason: 'timeout' })
  })
})

const GET: OutgoingRequest = {
  field: 'url',
  rules: LOOPBACK,
  method: 'GET',
  timeoutMs: 5_000,
  bytesMax: 1_000,
  answer: 'read',
  redirectsMax: 0,
}

interface LoopbackServer extends AsyncDisposable {
  url: string
  port: number
  requests: string[]
}

async function serve(listener: RequestListener, host = '127.0.0.1', port = 0): Promise<LoopbackServer> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.headers.host} ${request.url}`)
    listener(request, response)
  }).listen(port, host)
  await once(server, 'listening')
  const at = server.address() as AddressInfo
  return {
    url: `http://${host}:${at.port}`,
    port: at.port,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('a request a customer named', () => {
  test('reaches an allowed host by plain http, with its body, and brings the answer', async () => {
    let body = ''
    await using server = await serve(async (request, response) => {
      for await (const chunk of request) body += chunk
      response.writeHead(201, { 'x-answer': 'yes' }).end('thanks')
    })
    const answer = await guardedFetch(`${server.url}/hook?a=1#part`, {
      ...GET,
      method: 'POST',
      body: '{"a":"ü"}',
    })
    expect(answer).toMatchObject({ status: 201, body: Buffer.from('thanks'), headers: { 'x-answer': 'yes' } })
    expect(body).toBe('{"a":"ü"}')
    expect(server.requests).toEqual([`POST 127.0.0.1:${server.port} /hook?a=1`])
  })

  test('goes nowhere when the host is refused', async () => {
    await using server = await serve((_request, response) => response.end('secret'))
    for (const url of [
      server.url,
      server.url.replace('http:', 'https:'),
      `https://2130706433:${server.port}/`,
    ]) {
      await expect(guardedFetch(url, { ...GET, rules: NOBODY })).rejects.toBeInstanceOf(OutgoingError)
    }
    expect(server.requests).toEqual([])
  })

  test('connects to the address that was checked, whatever the name means a moment later', async () => {
    await using checked = await serve((_request, response) => response.end('checked'))
    await using other = await serve((_request, response) => response.end('other'), '127.0.0.2', checked.port)
    await using names = await startNameServer((_name, asked) => [asked === 0 ? '127.0.0.1' : '127.0.0.2'])
    const answer = await guardedFetch(`http://turning.test:${checked.port}/`, {
      ...GET,
      rules: { ...LOOPBACK, nameServers: [names.address] },
    })
    expect(answer.body.toString()).toBe('checked')
    expect(names.questions.toSorted()).toEqual(['A turning.test', 'AAAA turning.test'])
    expect(other.requests).toEqual([])
  })

  test('follows no redirect unless asked to', async () => {
    await using server = await serve((_request, response) =>
      response.writeHead(302, { location: '/next' }).end(),
    )
    expect(await guardedFetch(server.url, GET)).toMatchObject({ status: 302 })
    expect(server.requests).toHaveLength(1)
  })

  test('follows three redirects when asked to, never a fourth', async () => {
    await using server = await serve((request, response) => {
      const left = Number(request.url?.slice(1))
      if (left === 0) response.end('found')
      else response.writeHead(307, { location: `/${left - 1}` }).end('x'.repeat(5_000))
    })
    const request = { ...GET, redirectsMax: 3 }
    expect(await guardedFetch(`${server.url}/3`, request)).toMatchObject({
      status: 200,
      url: `${server.url}/0`,
      body: Buffer.from('found'),
    })
    await expect(guardedFetch(`${server.url}/4`, request)).rejects.toMatchObject({
      reason: 'too_many_redirects',
    })
  })

  test.each([
    ['https://169.254.169.254/latest/meta-data/', 'forbidden_host'],
    ['http://[::ffff:127.0.0.1]/', 'invalid_url'],
    ['https://localhost/', 'forbidden_host'],
    ['file:///etc/passwd', 'invalid_url'],
    ['http://', 'invalid_url'],
  ])('is not led to %s by a redirect', async (location, reason) => {
    await using server = await serve((_request, response) => response.writeHead(301, { location }).end())
    await expect(guardedFetch(server.url, { ...GET, redirectsMax: 3 })).rejects.toMatchObject({ reason })
  })

  test('reads no more than it may: a longer body is refused, or cut off when drained', async () => {
    await using server = await serve((_request, response) => {
      // Never ends by itself.
      const more = () => {
        while (response.write('x'.repeat(10_000)));
        response.once('drain', more)
      }
      more()
    })
    await expect(guardedFetch(server.url, GET)).rejects.toMatchObject({ reason: 'too_large' })
    expect(await guardedFetch(server.url, { ...GET, answer: 'drained' })).toMatchObject({
      status: 200,
      body: Buffer.alloc(0),
    })
  })

  test('ends in time: no answer, a body that never ends, an endless line of redirects', async () => {
    await using mute = await serve(() => undefined)
    await expect(guardedFetch(mute.url, { ...GET, timeoutMs: 100 })).rejects.toMatchObject({
      reason: 'timeout',
    })
    await using slow = await serve((_request, response) => response.write('x'))
    await expect(guardedFetch(slow.url, { ...GET, timeoutMs: 100 })).rejects.toMatchObject({
      reason: 'timeout',
    })
    expect(await guardedFetch(slow.url, { ...GET, timeoutMs: 100, answer: 'drained' })).toMatchObject({
      status: 200,
    })
    await using circle = await serve((_request, response) => response.writeHead(302, { location: '/' }).end())
    await expect(
      guardedFetch(circle.url, { ...GET, redirectsMax: Number.POSITIVE_INFINITY, timeoutMs: 200 }),
    ).rejects.toMatchObject({ reason: 'timeout' })
  })

  test('says what went wrong when nobody listens, what answers is no HTTP, or it hangs up', async () => {
    const tcp = async (answer: string) => {
      const server = createTcpServer((socket) => socket.on('error', () => undefined).end(answer)).listen(
        0,
        '127.0.0.1',
      )
      await once(server, 'listening')
      return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => server.close() }
    }
    using closed = await tcp('')
    using strange = await tcp('220 mail.test ESMTP\r\n')
    using upgrading = await tcp(
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n',
    )
    for (const { port } of [closed, strange, upgrading]) {
      await expect(guardedFetch(`http://127.0.0.1:${port}/`, GET)).rejects.toMatchObject({
        reason: 'connection_failed',
        param: 'url',
      })
    }
    closed[Symbol.dispose]()
    await expect(guardedFetch('http://127.0.0.1:1/', GET)).rejects.toMatchObject({
      message: 'url could not be reached: ECONNREFUSED.',
    })
  })

  test('is given up when its caller asks, with the reason of the caller', async () => {
    const giveUp = new AbortController()
    await using mute = await serve(() => giveUp.abort(new Error('stopping')))
    await expect(guardedFetch(mute.url, { ...GET, signal: giveUp.signal })).rejects.toThrow('stopping')
  })
})
