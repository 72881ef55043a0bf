import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { openS3Store, S3Store } from './s3-store.ts'

const LIST =
  '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>' +
  '<Prefix></Prefix><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>'

beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDCANARY')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-canary')
})
afterEach(() => {
  vi.unstubAllEnvs()
})

async function listenAs(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const settingsOf = (endpoint: string) =>
  ({ endpoint, bucket: 'b', region: 'us-east-1', forcePathStyle: true }) as const

/** Answers as an S3 server that refuses with this code. */
const refusing =
  (status: number, code: string): RequestListener =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/xml' })
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code} it is</Message></Error>`)
  }

const page =
  (status: number, body: string, type = 'text/html'): RequestListener =>
  (_request, response) =>
    response.writeHead(status, { 'content-type': type }).end(body)

/** A bucket that is missing, and a server that refuses to make it. */
const makesNoBucket: RequestListener = (request, response) =>
  request.method === 'PUT'
    ? refusing(403, 'AccessDenied')(request, response)
    : refusing(404, 'NoSuchBucket')(request, response)

describe('a start on S3 says at once which setting is wrong', () => {
  test.each<[string, string, RequestListener]>([
    ['an access key nobody knows', 'AWS_ACCESS_KEY_ID', refusing(403, 'InvalidAccessKeyId')],
    ['a wrong secret', 'AWS_SECRET_ACCESS_KEY', refusing(403, 'SignatureDoesNotMatch')],
    ['a bucket of somebody else', 'SLUICE_S3_BUCKET', refusing(403, 'AccessDenied')],
    ['a missing bucket that may not be made', 'SLUICE_S3_BUCKET', makesNoBucket],
    ['a name that no bucket has', 'SLUICE_S3_BUCKET', refusing(400, 'InvalidBucketName')],
    ['another region', 'SLUICE_S3_REGION', refusing(301, 'PermanentRedirect')],
    [
      'another region, as told by newer servers',
      'SLUICE_S3_REGION',
      refusing(400, 'AuthorizationHeaderMalformed'),
    ],
    ['a web page', 'SLUICE_S3_ENDPOINT', page(200, '<!doctype html><title>Hello</title><p>Hello<br>there')],
    ['an empty answer', 'SLUICE_S3_ENDPOINT', page(200, '')],
    ['a web page that is not found', 'SLUICE_S3_ENDPOINT', page(404, '<h1>Not Found</h1>')],
    [
      'another API',
      'SLUICE_S3_ENDPOINT',
      page(404, '{"error":{"code":"unknown_route"}}', 'application/json'),
    ],
    ['an API that wants another key', 'SLUICE_S3_ENDPOINT', page(405, '{}', 'application/json')],
  ])('%s: %s', async (_name, setting, answer) => {
    const endpoint = await listenAs(answer)
    const fault: unknown = await openS3Store(settingsOf(endpoint)).catch((error: unknown) => error)
    expect(fault).toMatchObject({ name: 'SettingError', setting })
    const { message } = fault as Error
    expect(message.split('\n')).toHaveLength(1)
    expect(message).not.toContain('AKIDCANARY')
    expect(message).not.toContain('secret-canary')
  })

  test('what speaks no HTTP at all: SLUICE_S3_ENDPOINT', async () => {
    const server = createTcpServer((socket) => socket.end('220 mail.test ESMTP\r\n')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    await expect(openS3Store(settingsOf(endpoint))).rejects.toMatchObject({ setting: 'SLUICE_S3_ENDPOINT' })
  })

  test('no credentials: AWS_ACCESS_KEY_ID', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent')
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent')
    const endpoint = await listenAs(page(200, LIST, 'application/xml'))
    await expect(openS3Store(settingsOf(endpoint))).rejects.toMatchObject({ setting: 'AWS_ACCESS_KEY_ID' })
  })
})

test('a store that is merely away at the start is waited for, and that is said once', async () => {
  let isBack = false
  const endpoint = await listenAs((request, response) =>
    isBack
      ? page(200, LIST, 'application/xml')(request, response)
      : refusing(503, 'SlowDown')(request, response),
  )
  const lines: string[] = []
  const onWaiting = (line: string) => {
    lines.push(line)
    isBack = true
  }
  const store = await openS3Store(settingsOf(endpoint), { onWaiting })
  onTestFinished(() => store.close())
  expect(lines).toEqual([expect.stringMatching(/^SLUICE_S3_ENDPOINT is ".*waiting for it$/)])
})

test.each([
  ['behind', 9_000_000],
  ['ahead', -9_000_000],
])('URLs are dated by the store’s clock, whatever ours says: 2.5 h %s', async (_name, aheadMs) => {
  const endpoint = await listenAs((_request, response) => {
    response.sendDate = false
    response.writeHead(200, {
      date: new Date(Date.now() + aheadMs).toUTCString(),
      'content-type': 'application/xml',
    })
    response.end(LIST)
  })
  const store = await openS3Store(settingsOf(endpoint))
  onTestFinished(() => store.close())
  expect(Math.abs(store.clockAheadMs() - aheadMs)).toBeLessThan(5_000)
  const urls = [
    await store.signGet('v/video.mp4', { expiresInSeconds: 60, audience: 'client' }),
    await store.signGet('v/video.mp4', { expiresInSeconds: 60, audience: 'worker' }),
    await store.signPut('v/video.mp4', { expiresInSeconds: 60, contentType: 'video/mp4' }),
  ]
  for (const url of urls) {
    const date = new URL(url).searchParams.get('X-Amz-Date') ?? ''
    const datedMs = Date.parse(date.replace(/^(....)(..)(..T..)(..)(..)Z$/, '$1-$2-$3:$4:$5Z'))
    expect(Math.abs(datedMs - (Date.now() + aheadMs))).toBeLessThan(10_000)
  }
})

test('a start does not make a bucket of settings that are only looked at', async () => {
  const methods: string[] = []
  const endpoint = await listenAs((request, response) => {
    methods.push(request.method ?? '')
    refusing(404, 'NoSuchBucket')(request, response)
  })
  const store = new S3Store(settingsOf(endpoint))
  onTestFinished(() => store.close())
  expect(await store.findFault()).toMatchObject({ fault: { setting: 'SLUICE_S3_BUCKET' } })
  expect(methods).toEqual(['GET'])
})
