import { expect, test } from 'vitest'
import { readConfig } from './config.ts'

const read = (hosts: string) =>
  readConfig({
    SLUICE_DATABASE_URL: 'postgres://x',
    SLUICE_SECRET: 'x'.repeat(32),
    SLUICE_WEBHOOK_ALLOW_HOSTS: hosts,
  }).webhookAllowHosts

test('hosts are read as URLs write them', () => {
  expect([...read(' Hooks.Internal. , 127.0.0.1,[::1], FD00::0001 ,, 0x7f.2,')]).toEqual([
    'hooks.internal',
    '127.0.0.1',
    '::1',
    'fd00::1',
    '127.0.0.2',
  ])
  expect([...read('')]).toEqual([])
})

test.each([
  'http://hooks.internal',
  'hooks.internal:8080',
  'hooks.internal/path',
  'user@hooks.internal',
  '[::1]:80',
  'a b',
  '*?',
  '\\',
])('%s is no host, and the error names the setting', (host) => {
  expect(() => read(`fine.test,${host}`)).toThrow(/SLUICE_WEBHOOK_ALLOW_HOSTS is .*allowed are host names/)
})
