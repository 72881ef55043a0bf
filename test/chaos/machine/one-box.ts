import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dataDirPaths } from '../../../apps/cli/src/data-dir.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import { processesOf } from '../../support/processes-of.ts'
import { createClockFile } from './clock-file.ts'
import { mountDisks } from './disks.ts'
import {
  type Installation,
  type InstallationOptions,
  MARK_VARIABLE,
  type ProcessKind,
} from './installation.ts'
import { openOutside } from './outside.ts'
import { API_MAIN, CLI_MAIN, RUNNER_PART, WORKER_MAIN } from './paths.ts'
import { postmasterPid, superuserUrl } from './postgres-pid.ts'
import { keepProcess } from './process-keeper.ts'
import { runnerSettings } from './runner-settings.ts'
import { killAll } from './signals.ts'

const READY_MS_MAX = 90_000

/** Everything under one supervisor, as `npm start` runs it; something starts that again when it ends. */
export async function startBox(options: InstallationOptions): Promise<Installation> {
  const { dir } = options
  const dataDir = join(dir, 'data')
  const logDir = join(dir, 'logs')
  mkdirSync(logDir, { recursive: true })
  const outside = await openOutside(options)
  const clock = await createClockFile(dir)
  const objectDir = join(dataDir, 'objects')
  const disks = mountDisks(options, { workers: [join(dataDir, 'worker')], objects: objectDir })
  const port = await freePort()
  const supervisor = keepProcess({
    name: 'supervisor',
    command: [process.execPath, CLI_MAIN, 'up'],
    logFile: join(logDir, 'supervisor.log'),
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '/',
      PORT: String(port),
      SLUICE_DATA_DIR: dataDir,
      [MARK_VARIABLE]: dir,
      ...runnerSettings(dir),
      SLUICE_SLOTS: '0;1',
      ...outside.env,
      ...clock?.env,
    },
  })
  const origin = `http://127.0.0.1:${port}`
  const untilReady = () =>
    eventually(
      () =>
        fetch(`${origin}/ready`).then(
          ({ status }) => status,
          () => 0,
        ),
      (status) => status === 200,
      READY_MS_MAX,
    )
  await untilReady()
  const keys = JSON.parse(readFileSync(dataDirPaths(dataDir).keys, 'utf8'))
  const postgresDir = dataDirPaths(dataDir).postgres
  const pids = (kind: ProcessKind): number[] => {
    switch (kind) {
      case 'api':
        return processesOf(dir, API_MAIN)
      case 'worker':
        return processesOf(dir, WORKER_MAIN)
      case 'runner':
        return processesOf(dir, RUNNER_PART)
      case 'postgres':
        return [postmasterPid(postgresDir)].filter((pid) => pid !== null)
      case 'supervisor':
        return [supervisor.pid()].filter((pid) => pid !== null)
      case 'redis':
      case 's3':
        return outside.pids(kind)
    }
  }
  return {
    layout: 'box',
    options,
    origin,
    key: keys.key,
    adminKey: keys.admin_key,
    adminUrl: () => superuserUrl(postgresDir),
    pids,
    objectDir: options.store === 'disk' ? objectDir : null,
    disks,
    workerDataDirs: [dataDir],
    wires: outside.wires,
    redisUrl: outside.redisUrl,
    stepClocks: clock === null ? null : clock.step,
    logDir,
    powerCut: async () => {
      killAll(
        ['supervisor', 'api', 'worker', 'runner', 'redis', 's3'].flatMap((kind) => pids(kind as ProcessKind)),
      )
      killAll(processesOf(dir, 'postgres'))
    },
    stop: async () => {
      const problems = (await supervisor.stop()) ? [] : ['the supervisor had to be killed']
      await outside.stop()
      const left = processesOf(dir, '').filter((pid) => pid !== process.pid)
      killAll(left)
      return left.length === 0 ? problems : [...problems, `${left.length} processes were left behind`]
    },
  }
}
