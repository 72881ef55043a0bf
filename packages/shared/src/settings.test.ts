import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import {
  baseUrlSetting,
  databaseUrlSetting,
  type Environment,
  folderSetting,
  hostSetting,
  httpUrlSetting,
  isGuessable,
  portSetting,
  redisUrlSetting,
  SettingError,
  secretSetting,
} from './settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-settings-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** What the reader returns, or the error's text. */
function read(reader: (env: Environment, name: string) => unknown, value: string): unknown {
  try {
    return reader({ NAME: value }, 'NAME')
  } catch (error) {
    if (!(error instanceof SettingError)) throw error
    expect(error.message).toMatch(/^NAME is /)
    return error.message
  }
}

const databases = ['postgres://u:p@h:5/d', 'postgresql://h/d?sslmode=require', 'postgres://u@/d?host=/run/pg']
const redises = ['redis://h', 'rediss://u:p%40w@[::1]:6380/15', 'redis://:p@h:6379/']
const bases = ['https://h/', 'http://[::1]:3000', 'http://h/below/v1']

test.each([
  [databaseUrlSetting, databases],
  [redisUrlSetting, redises],
  [baseUrlSetting, bases],
  [httpUrlSetting, [...bases, 'https://h/v1?version=2']],
])('%o takes what can be reached', (reader, texts) => {
  for (const text of texts)
    expect(read(reader, text)).toBe(text.replace(reader === baseUrlSetting ? /\/+$/ : '', ''))
})

test.each([
  [
    databaseUrlSetting,
    [
      'h:5432/d',
      'mysql://h/d',
      'postgres://u:hunter2#x@h/d',
      'postgres://u:hunter2%@h/d',
      'postgres://h:0/d',
    ],
  ],
  [
    redisUrlSetting,
    [
      'h:6379',
      'http://h',
      'redis://',
      'redis://:hunter2/x@h',
      'redis://:hunter2%@h',
      'redis://h/queue',
      'redis://0.0.0.0',
      'redis://h:0',
    ],
  ],
  [
    baseUrlSetting,
    [
      'h:3000',
      '::1',
      'ftp://h',
      'http://u:hunter2@h',
      'http://:hunter2@h',
      'http://0.0.0.0:3000',
      'http://[::]',
      'http://h?a=hunter2',
      'http://h/#x',
      'http://h:0',
      'http://h:99999',
    ],
  ],
  [httpUrlSetting, ['u:hunter2@h', 'https://u:hunter2@h/v1', 'http://0/']],
])('%o refuses what cannot be reached, and shows no password', (reader, texts) => {
  for (const text of texts) {
    const said = read(reader, text)
    expect(said, text).toMatch(/^NAME is .*allowed is/)
    expect(said).not.toContain('hunter2')
  }
})

test('a host may be written in any form, a port is a port', () => {
  const host = (env: Environment, name: string) => hostSetting(env, name, 'unset')
  expect(read(host, '[::1]')).toBe('::1')
  expect(read(host, '')).toBe('unset')
  for (const wrong of ['http://h', 'h:80', 'fe80::1%eth0'])
    expect(read(host, wrong)).toMatch(/^NAME is .*address/)
  const port = (env: Environment, name: string) => portSetting(env, name, 7, 1)
  expect(read(port, '')).toBe(7)
  for (const wrong of ['0', '65536', '80.0', 'http']) expect(read(port, wrong)).toMatch(/whole number from 1/)
})

test('a secret is long enough and can be sent, and no error shows it', () => {
  const chosen = (env: Environment, name: string) => secretSetting(env, name, { charsMin: 32 })
  expect(read(chosen, 'f'.repeat(32))).toBe('f'.repeat(32))
  for (const wrong of [
    'hunter2',
    `hunter2${' x'.repeat(40)}`,
    `hunter2${'ü'.repeat(40)}`,
    `hunter2\n${'x'.repeat(40)}`,
  ]) {
    const said = read(chosen, wrong)
    expect(said).toMatch(/^NAME is .*allowed are at least 32 random characters/)
    expect(said).not.toContain('hunter2')
  }
})

test('what a person types for a secret can be guessed, what a generator makes cannot', () => {
  for (const typed of [
    'x'.repeat(40),
    '0123'.repeat(10),
    'change-me-change-me-change-me-please',
    'a-long-secret-of-our-company-2026',
  ])
    expect(isGuessable(typed)).toBe(true)
  for (const made of ['5f0c9ab1e27d4c38b6aa02f4d1937e60c58be2a94f7d1036', 'Rk3vQ0pZt9-LxYwB7uHn2cJfGd5sAe8M'])
    expect(isGuessable(made)).toBe(false)
})

test('a folder is one that is there or can be made', () => {
  const dataDir = (env: Environment, name: string) => folderSetting(env, name, '.')
  mkdirSync(join(folder, 'there'))
  writeFileSync(join(folder, 'file'), '')
  expect(read(dataDir, join(folder, 'there'))).toBe(join(folder, 'there'))
  expect(read(dataDir, join(folder, 'new', 'newer'))).toBe(join(folder, 'new', 'newer'))
  expect(read(dataDir, join(folder, 'file'))).toMatch(/file is no folder; allowed is a folder/)
  expect(read(dataDir, join(folder, 'file', 'below'))).toMatch(/is no folder; allowed is a folder/)
})
