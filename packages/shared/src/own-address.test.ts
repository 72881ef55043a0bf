import { expect, test } from 'vitest'
import { ownUrl } from './own-address.ts'

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
