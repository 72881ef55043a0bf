import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ALL_MUTANTS } from './all-mutants.ts'
import type { Mutant } from './mutant.ts'
import { applyMutant } from './mutate.ts'
import { copyTree } from './tree-copy.ts'

/** `npm run mutants [TEXT]`: all, or those whose rule or file contains TEXT. */
const [text = ''] = process.argv.slice(2)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** As many as the tests of one machine with two cores bear at once. */
const AT_ONCE = 2
const TESTS_MS_MAX = 300_000

const waiting = ALL_MUTANTS.filter(({ rule, file }) => `${rule} ${file}`.includes(text))
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
      const isNoticed = !(await testsPass(copy.root, mutant))
      putBack()
      done += 1
      if (!isNoticed) survivors.push(mutant)
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0)
      process.stdout.write(
        `${done}/${total} ${isNoticed ? 'noticed ' : 'SURVIVED'} ${seconds.padStart(4)} s  ${mutant.rule}: ${mutant.file}\n`,
      )
    }
  } finally {
    copy.remove()
  }
}

/** Runs the mutant's tests in the copy, up to the first that fails. Running for ever counts as a failure. */
async function testsPass(root: string, { tests: [project, ...files] }: Mutant): Promise<boolean> {
  const child = spawn(
    'npx',
    ['vitest', 'run', '--bail', '1', '--maxWorkers', '1', '--project', project, ...files],
    { cwd: root, stdio: 'ignore', detached: true, env: { ...process.env, SLUICE_NO_INSTALL: '1' } },
  )
  const late = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), TESTS_MS_MAX)
  const [code] = await once(child, 'exit')
  clearTimeout(late)
  return code === 0
}
