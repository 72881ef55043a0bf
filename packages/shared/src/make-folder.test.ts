import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeFolder } from './make-folder.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-folder-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

test('a folder and those above it are made with the mode, and one that is there, or a link to one, is left as it is', async () => {
  await makeFolder(join(dir, 'a/b/c'), 0o700)
  expect(statSync(join(dir, 'a/b')).mode & 0o777).toBe(0o700)
  expect(statSync(join(dir, 'a/b/c')).mode & 0o777).toBe(0o700)
  await makeFolder(join(dir, 'a/b/c'), 0o755)
  expect(statSync(join(dir, 'a/b/c')).mode & 0o777).toBe(0o700)
  symlinkSync(join(dir, 'a'), join(dir, 'link'))
  await makeFolder(join(dir, 'link/d'))
  await makeFolder(join(dir, 'link'))
  expect(statSync(join(dir, 'a/d')).isDirectory()).toBe(true)
})

test('a file in the way is an error, and so is a place where no folder can be made', async () => {
  writeFileSync(join(dir, 'file'), '')
  await expect(makeFolder(join(dir, 'file'))).rejects.toThrow('EEXIST')
  await expect(makeFolder(join(dir, 'file/below'))).rejects.toThrow(/ENOTDIR|EEXIST/)
})

test.runIf(process.platform === 'linux')(
  'a folder below /proc is refused, and not tried for ever',
  async () => {
    await expect(makeFolder('/proc/no-such-folder/below')).rejects.toThrow('ENOENT')
  },
  5_000,
)
