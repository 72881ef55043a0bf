#!/usr/bin/env node
// `npx sluice`: runs the command line with the pinned Node when the machine's own is too old. Without
// dependencies.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR = 24
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const pinnedNode = fileURLToPath(new URL('../../../node_modules/node/bin/node', import.meta.url))
const installer = fileURLToPath(new URL('./ensure-installed.mjs', import.meta.url))
const commander = new URL('../node_modules/commander/package.json', import.meta.url)
const hoistedCommander = new URL('../../../node_modules/commander/package.json', import.meta.url)

if (!existsSync(commander) && !existsSync(hoistedCommander)) {
  process.stderr.write(`sluice: nothing is installed yet. Run: node ${installer}\n`)
  process.exit(1)
}

if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) {
  process.argv[1] = main
  await import(main)
} else if (existsSync(pinnedNode)) {
  const child = spawn(pinnedNode, [main, ...process.argv.slice(2)], {
    // By the end of the channel it sees that we are gone.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  // npx passes a signal on to a shell, which ends of it and passes nothing on.
  const parent = process.ppid
  const look = () => process.env.npm_command === 'exec' && process.ppid !== parent && child.kill('SIGTERM')
  setInterval(look, 500).unref()
  child.on('error', (error) => {
    process.stderr.write(`sluice: ${pinnedNode} does not run (${error.message}). Run: node ${installer}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
} else {
  process.stderr.write(
    `sluice: Node ${NODE_MAJOR} is needed, this is ${process.versions.node}, ` +
      `and the pinned one is missing. Run: node ${installer}\n`,
  )
  process.exit(1)
}
