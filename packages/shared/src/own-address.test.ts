import { expect, test } from 'vitest'
import { hostIn, ownUrl, urlsFromElsewhere } from './own-address.ts'

test.each([
  ['127.0.0.1', 'http://127.0.0.1:3000'],
  ['videos.example', 'http://videos.example:3000'],
  ['::1', 'http://[::1]:3000'],
  ['fd00::7', 'http://[fd00::7]:3000'],
  ['0.0.0.0', 'http://127.0.0.1:3000'],
  ['::', 'http://127.0.0.1:3000'],
])('a server that listens on %s is reached at a URL, %s', (host, url) => {
  expect(ownUrl(host, 3000)).toBe(url)
  expect(URL.canParse(url)).toBe(true)
})

test.each([
  ['::1', '::1'],
  ['[::1]', '::1'],
  ['FD00::0001', 'fd00::1'],
  ['127.1', '127.0.0.1'],
  ['0', '0.0.0.0'],
  ['[::]', '::'],
  ['Api.Internal.', 'api.internal'],
])('%s is a host, as URLs write it: %s', (text, host) => {
  expect(hostIn(text)).toBe(host)
})

test.each(['http://x', 'x:80', '[::1]:80', 'x/y', 'u@x', 'fe80::1%eth0', 'a b', '::x', '256.1.1.1'])(
  '%s is no host',
  (text) => {
    expect(hostIn(text)).toBeNull()
  },
)

test('other machines reach a wildcard address at those of the network, and a loopback address not at all', () => {
  for (const host of ['127.0.0.1', 'localhost', '::1', '127.9.9.9'])
    expect(urlsFromElsewhere(host, 1)).toEqual([])
  expect(urlsFromElsewhere('10.0.0.7', 80)).toEqual(['http://10.0.0.7:80'])
  for (const url of urlsFromElsewhere('::', 3000)) {
    expect(URL.canParse(url)).toBe(true)
    expect(url).not.toMatch(/127\.0\.0\.1|\[::1?\]|fe80/)
  }
})
