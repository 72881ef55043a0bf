import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { consoleIsStale, installHash, missingLinks, STAMP, whyInstall } from '../bin/install-state.mjs'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-install-'))
  put('package.json', {
    workspaces: ['apps/*', 'runners/one'],
    scripts: { test: 'a' },
    devDependencies: { x: '1' },
  })
  put('apps/cli/package.json', { name: 'cli', dependencies: { y: '1' } })
  put('package-lock.json', { lockfileVersion: 3 })
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function put(path: string, content: object | string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content))
}

function age(path: string, seconds: number): void {
  const at = new Date(Date.now() - seconds * 1_000)
  utimesSync(join(root, path), at, at)
}

describe('whether npm install has to run', () => {
  it('is yes before the first installation and after one that did not end', () => {
    expect(whyInstall(root)).toBe('nothing is installed yet')
    mkdirSync(join(root, 'node_modules'))
    expect(whyInstall(root)).toBe('the last installation did not end')
  })

  it('is no while nothing that npm reads has changed, and yes when a dependency or the lock did', () => {
    put(STAMP, `${installHash(root)}\n`)
    expect(whyInstall(root)).toBeNull()
    put('package.json', {
      workspaces: ['apps/*', 'runners/one'],
      scripts: { test: 'other' },
      devDependencies: { x: '1' },
    })
    expect(whyInstall(root)).toBeNull()
    put('apps/cli/package.json', { name: 'cli', dependencies: { y: '2' } })
    expect(whyInstall(root)).toContain('changed')
    put(STAMP, installHash(root))
    put('package-lock.json', { lockfileVersion: 3, packages: {} })
    expect(whyInstall(root)).toContain('changed')
  })
})

describe('whether the console has to be built', () => {
  it('is no without a console, yes before its first build, and yes when a source is newer or was removed', () => {
    expect(consoleIsStale(root)).toBe(false)
    put('apps/console/index.html', '<html>')
    put('apps/console/src/page.tsx', 'page')
    put('packages/shared/src/money.ts', 'money')
    expect(consoleIsStale(root)).toBe(true)
    put('apps/console/dist/index.html', '<html>')
    const sources = [
      'apps/console/index.html',
      'apps/console/src/page.tsx',
      'apps/console/src',
      'packages/shared/src/money.ts',
      'packages/shared/src',
    ]
    for (const path of sources) age(path, 60)
    age('apps/console/dist/index.html', 30)
    expect(consoleIsStale(root)).toBe(false)
    age('packages/shared/src/money.ts', 10)
    expect(consoleIsStale(root)).toBe(true)
    age('packages/shared/src/money.ts', 60)
    rmSync(join(root, 'apps/console/src/page.tsx'))
    expect(consoleIsStale(root)).toBe(true)
  })
})

describe("PostgreSQL's links", () => {
  it('are named when the install script that makes them was not allowed to run', () => {
    put(
      'pg/native/pg-symlinks.json',
      JSON.stringify([{ source: 'native/lib/a.so.1', target: 'native/lib/a.so' }]),
    )
    expect(missingLinks(join(root, 'pg'))).toEqual(['native/lib/a.so'])
    put('pg/native/lib/a.so', '')
    expect(missingLinks(join(root, 'pg'))).toEqual([])
  })
})
