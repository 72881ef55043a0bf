// Stands in for the worker: records its life, and has a child as a worker has a runner.
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const dataDir = process.env.SLUICE_DATA_DIR
const write = (how, name, text) => {
  try {
    how(join(dataDir, name), text)
  } catch {
    // A full disk ends no program of the service.
  }
}
const note = (what, pid = process.pid) => write(appendFileSync, 'events', `worker ${what} ${pid}\n`)
if (existsSync(join(dataDir, 'worker-crashes'))) {
  note('crashed')
  process.exit(1)
}
write(writeFileSync, 'worker-environment', JSON.stringify(process.env))
const runner = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
note('runner', runner.pid)
note('started')
const leave = (why) => {
  // The runner is left on purpose: the supervisor ends what a worker forgets.
  note(why)
  process.exit(0)
}
process.on('SIGTERM', () => {
  if (!existsSync(join(dataDir, 'worker-hangs'))) leave('stopped')
})
process.on('disconnect', () => leave('disconnected'))
