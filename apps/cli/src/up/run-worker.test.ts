import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { eventually } from '../../../../test/support/eventually.ts'
import { processesOf } from '../../../../test/support/processes-of.ts'
import { startInTerminal } from '../../../../test/support/terminal.ts'

const RUN_WORKER = new URL('./run-worker.ts', import.meta.url).href
const WORKER = fileURLToPath(
  new URL('../../../../test/support/supervised-programs/worker.mjs', import.meta.url),
)

/** `sluice worker` in a terminal, with a stand-in for the worker. */
async function startWorker() {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-worker-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const script = `
    const { runWorker } = await import(${JSON.stringify(RUN_WORKER)})
    process.exit(await runWorker(${JSON.stringify(WORKER)}))`
  const args = ['--input-type=module', '-e', script]
  const terminal = startInTerminal(args, { env: { SLUICE_DATA_DIR: dataDir } })
  const events = () => readFile(join(dataDir, 'events'), 'utf8').catch(() => '')
  await eventually(events, (text) => text.includes('worker started'))
  return { terminal, events, processes: (part = '') => processesOf(dataDir, part) }
}

it('sluice worker passes a Ctrl-C on once, so that the worker stops in order, and leaves no runner behind', async () => {
  const { terminal, events, processes } = await startWorker()
  terminal.type('\x03')
  expect(await terminal.exit).toBe(0)
  expect((await events()).match(/worker stopped/g)).toHaveLength(1)
  await eventually(
    async () => processes(),
    (pids) => pids.length === 0,
  )
})

it('a worker ends when the sluice that runs it was killed', async () => {
  const { events, processes } = await startWorker()
  const terminals = processes('terminal.py')
  for (const pid of processes('runWorker')) if (!terminals.includes(pid)) process.kill(pid, 'SIGKILL')
  await eventually(events, (text) => text.includes('worker disconnected'))
  // Its runner outlives it here on purpose.
  for (const pid of processes()) process.kill(pid, 'SIGKILL')
})
