import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { findViolations, readSources, type Violation } from './support/import-rules.ts'
import { LAYERS } from './support/layers.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const rulesBroken = (path: string, text: string): string[] =>
  findViolations([{ path, text }]).map(({ rule }) => rule)

/** What one line, added to one file of the tree as it stands, breaks. */
function brokenBy(path: string, line: string): Violation[] {
  const tree = readSources(ROOT)
  const before = new Set(findViolations(tree).map((violation) => JSON.stringify(violation)))
  const changed = tree.map((file) => (file.path === path ? { path, text: `${line}\n${file.text}` } : file))
  return findViolations(changed).filter((violation) => !before.has(JSON.stringify(violation)))
}

describe('imports only go down', () => {
  it('in all of the repository, without a circle of files', () => {
    const sources = readSources(ROOT)
    expect(sources.length).toBeGreaterThan(20)
    expect(findViolations(sources)).toEqual([])
  })

  it('and every room of the list is there', () => {
    const sources = readSources(ROOT)
    for (const [program, rooms] of Object.entries(LAYERS)) {
      const empty = rooms.filter((room) => !sources.some(({ path }) => path.startsWith(`${program}/${room}`)))
      expect(empty).toEqual([])
    }
  })

  it('so that one import that goes up, or closes a circle, is found in the tree as it stands', () => {
    expect(
      brokenBy('apps/api/src/ledger/hold.ts', `import type { Video } from '../videos/video.ts'`),
    ).toEqual([
      {
        file: 'apps/api/src/ledger/hold.ts',
        imports: 'apps/api/src/videos/video.ts',
        rule: 'ledger stands below videos and may not import it',
      },
    ])
    const circles = brokenBy('packages/gate/src/heap.ts', `import { FairQueue } from './choose.ts'`)
    expect(circles.map(({ rule }) => rule)).toEqual(['no circle of files'])
  })

  it('and each rule sees what breaks it', () => {
    expect(
      rulesBroken('apps/worker/src/main.ts', `import { hold } from '../../api/src/ledger/hold.ts'`),
    ).toEqual(['the worker never imports another app'])
    expect(
      rulesBroken('apps/cli/src/up/up.ts', `const { start } = await import('../../../worker/src/main.ts')`),
    ).toEqual(['the command line speaks HTTP only'])
    expect(
      rulesBroken(
        'apps/console/src/main.tsx',
        `import type {\n  Video,\n} from '../../api/src/videos/video.ts'`,
      ),
    ).toEqual(['the console speaks HTTP only'])
    expect(rulesBroken('packages/shared/src/ids.ts', `import '../../../apps/api/src/main.ts'`)).toEqual([
      'packages import no apps',
    ])
    expect(rulesBroken('apps/api/src/videos/cancel.ts', `import { send } from '../routes/send.ts'`)).toEqual([
      'videos stands below routes and may not import it',
    ])
    expect(rulesBroken('apps/api/src/videos/cancel.ts', `import express from 'express'`)).toEqual([
      'express is known to HTTP, the routes and the disk store alone',
    ])
    expect(
      rulesBroken(
        'apps/api/src/routes/service/ready.ts',
        `import { transaction } from '../../db/database.ts'`,
      ),
    ).toEqual(['a route opens no transaction, runs no SQL and writes no audit'])
    expect(rulesBroken('apps/api/src/misc/x.ts', '')).toEqual([
      'misc is no room of apps/api/src: list it in test/support/layers.ts',
    ])
    expect(
      rulesBroken('apps/api/src/gate/leader.ts', `import '../../../../packages/shared/src/ids.ts'`),
    ).toEqual(['another package is imported by its name'])
    expect(
      rulesBroken('packages/shared/src/economics/figures.ts', `import { hrtime } from 'node:process'`),
    ).toEqual(['the token count and the figures are pure'])
    expect(rulesBroken('packages/gate/src/choose.ts', `import pg from 'pg'`)).toEqual([
      "the gate's rules are pure",
    ])
    expect(rulesBroken('apps/worker/src/main.ts', `import pg from 'pg'`)).toEqual([
      "only the API's code touches its tables",
    ])
  })

  it('while paths of programs, tests with their support, and lower layers are fine', () => {
    expect(
      rulesBroken(
        'apps/cli/src/up/run-up.ts',
        `const API = new URL('../../../api/src/main.ts', import.meta.url)`,
      ),
    ).toEqual([])
    expect(
      rulesBroken(
        'apps/api/src/ledger/hold.test.ts',
        `import { createTestDatabase } from '../../../../test/support/test-database.ts'`,
      ),
    ).toEqual([])
    expect(
      rulesBroken(
        'apps/api/src/routes/videos/create.ts',
        `import { submit } from '../../submissions/submit.ts'`,
      ),
    ).toEqual([])
    expect(
      rulesBroken('apps/worker/src/main.ts', `import { jobId } from '@sluice/shared/attempt-contract'`),
    ).toEqual([])
  })
})
