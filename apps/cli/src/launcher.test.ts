import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { freePort } from '../../../test/support/free-port.ts'
import { processesOf } from '../../../test/support/processes-of.ts'
import { waitUntilGone } from './processes/stop-process.ts'

const MAIN = new URL('./main.ts', import.meta.url).href
const LAUNCHER = fileURLToPath(new URL('../bin/sluice.mjs', import.meta.url))

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sluice-launcher-'))
  mkdirSync(join(root, 'apps/cli/bin'), { recursive: true })
  mkdirSync(join(root, 'apps/cli/src'), { recursive: true })
  copyFileSync(LAUNCHER, join(root, 'apps/cli/bin/sluice.mjs'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** Lets the launcher take the Node that it runs on for an older one. */
const OLD_NODE = `data:text/javascript,Object.defineProperty(process.versions, 'node', { value: '20.11.0' })`

function runLauncher(node: string[], args: string[]) {
  const command = [...node, join(root, 'apps/cli/bin/sluice.mjs'), ...args]
  return spawnSync(process.execPath, command, { encoding: 'utf8' })
}

function install(main: string): void {
  mkdirSync(join(root, 'node_modules/commander'), { recursive: true })
  writeFileSync(join(root, 'node_modules/commander/package.json'), '{}')
  mkdirSync(join(root, 'node_modules/node/bin'), { recursive: true })
  symlinkSync(process.execPath, join(root, 'node_modules/node/bin/node'))
  writeFileSync(join(root, 'apps/cli/src/main.ts'), main)
}

describe('npx sluice', () => {
  it('says what to run when nothing is installed', () => {
    const { status, stderr } = runLauncher([], ['doctor'])
    expect(status).toBe(1)
    expect(stderr).toMatch(/nothing is installed yet. Run: node .*ensure-installed.mjs\n$/)
  })

  it('hands over to the pinned Node on an older one, with arguments and exit code', () => {
    install(`console.log(process.argv.slice(2).join(' '), process.versions.node); process.exitCode = 7`)
    const { status, stdout } = runLauncher(['--import', OLD_NODE], ['generate', 'a paper boat'])
    expect(status).toBe(7)
    expect(stdout).toBe(`generate a paper boat ${process.versions.node}\n`)
    expect(runLauncher([], ['watch']).status).toBe(7)
  })

  it('passes signals on and ends with what its program ends with', async () => {
    install(`process.on('SIGTERM', () => process.exit(9)); setInterval(() => {}, 1000); console.log('up')`)
    const child = spawn(process.execPath, ['--import', OLD_NODE, join(root, 'apps/cli/bin/sluice.mjs')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([9, null])
  })

  it('ends its program when it was killed itself', async () => {
    install(`
      process.once('disconnect', () => process.exit())
      console.log(process.pid)
      setInterval(() => {}, 1000)`)
    const child = spawn(process.execPath, ['--import', OLD_NODE, join(root, 'apps/cli/bin/sluice.mjs')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const program = Number((await once(child.stdout, 'data'))[0])
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await waitUntilGone(program, 5_000)).toBe(true)
  })

  it('ends when npx, which started it through a shell, is killed', async () => {
    for (const node of [[], ['--import', OLD_NODE]]) {
      install(`await import(${JSON.stringify(MAIN)})`)
      const command = [process.execPath, ...node, join(root, 'apps/cli/bin/sluice.mjs'), 'generate', 'x']
      const words = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
      const shell = spawn('sh', ['-c', `${words}; true`], {
        env: {
          PATH: process.env.PATH ?? '',
          npm_command: 'exec',
          SLUICE_BASE_URL: `http://127.0.0.1:${await freePort()}`,
          SLUICE_API_KEY: root,
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      let said = ''
      shell.stderr.on('data', (text) => (said += text))
      await eventually(
        async () => said,
        (text) => text.includes('trying again'),
      )
      shell.kill('SIGKILL')
      await eventually(
        async () => processesOf(root, ''),
        (pids) => pids.length === 0,
      )
      rmSync(join(root, 'node_modules'), { recursive: true })
    }
  })

  it('is run by its real main: usage errors end with 2, help with 0', () => {
    expect(existsSync(LAUNCHER)).toBe(true)
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [LAUNCHER, ...args], {
        encoding: 'utf8',
        env: { PATH: process.env.PATH ?? '' },
        cwd: root,
      })
    expect(run('--help').status).toBe(0)
    expect(run('--help').stdout).toContain('npx sluice generate "a paper boat in the rain"')
    expect(run('--version').stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect(run('generate').status).toBe(2)
    for (const words of [
      ['foo', '--help'],
      ['credits', 'foo', '-h'],
      ['help', 'foo'],
    ]) {
      const unknown = run(...words)
      expect(unknown.status, words.join(' ')).toBe(2)
      expect(unknown.stderr, words.join(' ')).toMatch(/unknown command 'foo'[\s\S]*--help/)
    }
    expect(run('genrate', 'x').stderr).toContain('Did you mean generate?')
    expect(run('credits', 'add', '--help').status).toBe(0)
    expect(run('generate', 'x', '--frames', 'many').stderr).toContain("'many' is invalid")
    const noKey = run('generate', 'x')
    expect(noKey.status).toBe(2)
    expect(noKey.stderr).toContain('no API key')
  })
})
