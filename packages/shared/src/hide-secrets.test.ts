import { expect, test } from 'vitest'
import { hideSecrets } from './hide-secrets.ts'

const CANARY = 'can/ary#"1\\2026'
const hide = hideSecrets({
  SLUICE_DATABASE_URL: `postgres://sluice:${encodeURIComponent(CANARY)}@h/d?sslpassword=key-of-the-file`,
  REDIS_URL: 'redis://:hunter2#hunter2@h',
  SLUICE_WORKER_TOKEN: ` ${'t'.repeat(32)} `,
  SLUICE_MODERATION_URL: 'https://h/v1?api-key=parameter1',
  AWS_SECRET_ACCESS_KEY: 'aws-canary',
  SLUICE_REFINER_KEY: '',
  PORT: '3000',
})

test('a secret of the settings is hidden in every form in which a library may show it', () => {
  for (const form of [
    CANARY,
    encodeURIComponent(CANARY),
    JSON.stringify(CANARY),
    JSON.stringify({ a: [CANARY] }),
  ])
    expect(hide(`AUTH ${form} failed`)).not.toMatch(/ary/)
  for (const secret of ['t'.repeat(32), 'parameter1', 'aws-canary', 'key-of-the-file', 'hunter2#hunter2'])
    expect(hide(`"${secret}" at h:3000`)).toBe('"***" at h:3000')
})

test.each([
  ['redis://default:pw@h:1/0', 'redis://***@h:1/0'],
  ['cannot reach "https://u:p%40w@h/x"', 'cannot reach "https://***@h/x"'],
  ['http://h/store/a?expires=1&sig=abc-_1', 'http://h/store/a?expires=1&sig=***'],
  ['https://s3/a?X-Amz-Date=1&X-Amz-Signature=0f0f&x=1', 'https://s3/a?X-Amz-Date=1&X-Amz-Signature=***&x=1'],
  ['key sk-sluice-AbC_-12345678 is wrong', 'key sk-sluice-*** is wrong'],
  ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_***'],
  ['authorization: Bearer abcdefgh', 'authorization: Bearer ***'],
])('whatever the settings say, %s is shown as %s', (text, shown) => {
  expect(hide(text)).toBe(shown)
})

test('other text stays as it is', () => {
  for (const text of [
    'http://127.0.0.1:3000/v1 listens',
    'a@b.c',
    'Basic facts',
    'https://h/@me',
    '{"a":"b"}',
  ])
    expect(hide(text)).toBe(text)
  expect(hideSecrets({})('x:y@z')).toBe('x:y@z')
})
