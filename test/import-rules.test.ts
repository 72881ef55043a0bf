import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { findViolations, readSources } from './support/import-rules.ts'

const rulesBroken = (path: string, text: string): string[] =>
  findViolations([{ path, text }]).map(({ rule }) => rule)

describe('imports only go down', () => {
  it('in all of the repository', () => {
    const sources = readSources(fileURLToPath(new URL('..', import.meta.url)))
    expect(sources.length).toBeGreaterThan(20)
    expect(findViolations(sources)).toEqual([])
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
        'apps/console/src/page.tsx',
        `import type {\n  Video,\n} from '../../api/src/videos/video.ts'`,
      ),
    ).toEqual(['the console speaks HTTP only'])
    expect(rulesBroken('packages/shared/src/ids.ts', `import '../../../apps/api/src/main.ts'`)).toEqual([
      'packages import no apps',
    ])
    expect(
      rulesBroken('apps/api/src/ledger/hold.ts', `import { video } from '../videos/video-store.ts'`),
    ).toEqual(['the ledger imports no sibling domain'])
    expect(rulesBroken('apps/api/src/videos/submit.ts', `import { send } from '../routes/send.ts'`)).toEqual([
      'domain folders know no routes',
    ])
    expect(rulesBroken('apps/api/src/videos/submit.ts', `import express from 'express'`)).toEqual([
      'domain folders know no HTTP',
    ])
    expect(rulesBroken('apps/api/src/db/pool.ts', `import { key } from '../keys/key.ts'`)).toEqual([
      'the database layer imports no domain',
    ])
    expect(rulesBroken('apps/worker/src/main.ts', `import pg from 'pg'`)).toEqual([
      "only the API's code touches its tables",
    ])
    expect(
      rulesBroken(
        'packages/shared/src/index.ts',
        `/** All. */\nexport * from './ids.ts'\nexport { a } from './money.ts'\n`,
      ),
    ).toEqual(['no barrels: import from the file itself'])
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
        'apps/api/src/routes/create.ts',
        `import { submit } from '../videos/submit.ts'\nexport { x } from './y.ts'`,
      ),
    ).toEqual([])
    expect(
      rulesBroken('apps/worker/src/main.ts', `import { jobId } from '@sluice/shared/attempt-contract'`),
    ).toEqual([])
  })
})
