import { expect, test } from 'vitest'
import { readConfig } from './config.ts'

const read = (origins: string) =>
  readConfig({
    SLUICE_DATABASE_URL: 'postgres://x',
    SLUICE_SECRET: 'x'.repeat(32),
    SLUICE_ALLOWED_ORIGINS: origins,
  }).http.allowedOrigins

test('origins are read as browsers write them, and none is the default', () => {
  expect(read('HTTPS://App.Example.com:443/ , http://localhost:5173,')).toEqual(
    new Set(['https://app.example.com', 'http://localhost:5173']),
  )
  expect(read(' * ')).toBe('*')
  expect(read('')).toEqual(new Set())
})

test.each([
  'app.example.com',
  'https://app.example.com/page',
  'https://app.example.com/?a',
  'https://*.example.com/x',
  'https://me@app.example.com',
  'ftp://app.example.com',
  'null',
  '*',
])('%s beside another is no origin, and the error names the setting', (origin) => {
  expect(() => read(`https://fine.test,${origin}`)).toThrow(/SLUICE_ALLOWED_ORIGINS is .*allowed are origins/)
})
