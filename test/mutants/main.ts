import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { pause } from '@sluice/shared/pause'
import { ALL_MUTANTS } from './all-mutants.ts'
import type { Mutant } from './mutant.ts'
import { applyMutant } from './mutate.ts'
import { copyTree } from './tree-copy.ts'

/** `npm run mutants [TEXT...]`: all, or those whose rule or file contains one of the texts. */
const texts = process.argv.slice(2)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** As many as the tests of one machine with two cores bear at once. */
const AT_ONCE = 2
const TESTS_MS_MAX = 300_000
const LAST_LINES_MS = 1_000

const waiting = ALL_MUTANTS.filter(
  ({ rule, file }) => texts.length === 0 || texts.some((text) => `${rule} ${file}`.includes(text)),
)
const total = waiting.length
let done = 0
const survivors: Mutant[] = []
await Promise.all(Array.from({ length: AT_ONCE }, workOff))
process.stdout.write(`${total - survivors.length} of ${total} mutants were noticed\n`)
for (const { rule, file, find } of survivors) process.stdout.write(`survived: ${rule}: ${file}: ${find}\n`)
process.exit(survivors.length === 0 ? 0 : 1)

async function workOff(): Promise<void> {
  const copy = copyTree(ROOT)
  try {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const startedAt = performance.now()
      const putBack = applyMutant(copy.root, mutant)
      const noticedBy = await runTests(copy.root, mutant)
      putBack()
      done += 1
      if (noticedBy === null) survivors.push(mutant)
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0).padStart(4)
      process.stdout.write(
        `${done}/${total} ${noticedBy === null ? 'SURVIVED' : 'noticed '} ${seconds} s  ${mutant.rule}: ${mutant.file}\n` +
          (noticedBy === null ? '' : `    by ${noticedBy}\n`),
      )
    }
  } finally {
    copy.remove()
  }
}

/**
 * Runs the mutant's tests in the copy, up to the first that fails. Returns its title, so that one can see
 * whether it is the right one; null when all pass. Running for ever counts as a failure.
 */
async function runTests(root: string, { tests: [project, ...rest] }: Mutant): Promise<string | null> {
  const child = spawn(
    'npx',
    ['vitest', 'run', '--bail', '1', '--maxWorkers', '1', '--project', project, ...rest],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, SLUICE_NO_INSTALL: '1', NO_COLOR: '1' },
    },
  )
  const late = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), TESTS_MS_MAX)
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk
    })
  const closed = once(child, 'close')
  const [code] = await once(child, 'exit')
  // What a test left running may keep the streams open.
  await Promise.race([closed, pause(LAST_LINES_MS)])
  clearTimeout(late)
  if (code === 0) return null
  return /^ *FAIL +(.*)$/m.exec(said)?.[1] ?? 'no test: the run itself failed, or took too long'
}
