import { readdirSync, readFileSync } from 'node:fs'

/** Prints each benchmark's command with its head comment. */
const self = 'list.ts'
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts') && name !== self)
process.stdout.write(
  'Each starts what it needs (PostgreSQL with fsync on, Redis) and prints a table with ratios:\n',
)
for (const name of files.sort()) {
  const head = /\/\*\*([\s\S]*?)\*\//.exec(readFileSync(`${import.meta.dirname}/${name}`, 'utf8'))?.[1] ?? ''
  process.stdout.write(`\n  node bench/${name}\n    ${head.replaceAll(/\s*\n \*\s*/g, ' ').trim()}\n`)
}
