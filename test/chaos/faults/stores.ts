import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { s3MoodFile } from '../machine/outside.ts'
import type { Fault } from './fault.ts'

/** What happens to places where bytes lie. Frozen, killed and silent servers are among the other faults. */
export const STORES: readonly Fault[] = [
  {
    name: 'the object folder is away',
    hits: 'one',
    fits: ({ objectDir }) => objectDir !== null,
    inject: async ({ objectDir }, random) => {
      if (objectDir === null || !existsSync(objectDir)) return null
      const away = `${objectDir}.away`
      renameSync(objectDir, away)
      return {
        what: 'objects',
        holdMs: random.integer(1_000, 8_000),
        mend: async () => {
          // Whatever was made in its place hides the mount, as on a real host: it goes.
          rmSync(objectDir, { recursive: true, force: true })
          renameSync(away, objectDir)
        },
      }
    },
  },
  {
    name: 'the store answers 500',
    hits: 'one',
    fits: ({ options }) => options.store === 's3',
    inject: async ({ options }, random) => {
      const file = s3MoodFile(options.dir)
      writeFileSync(file, '500')
      return {
        what: 's3',
        holdMs: random.integer(1_000, 8_000),
        mend: async () => rmSync(file, { force: true }),
      }
    },
  },
]
