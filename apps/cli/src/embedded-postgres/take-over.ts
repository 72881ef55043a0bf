import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { argumentsOf, isAlive, isInProcessTable, processesIn } from '../processes/process-identity.ts'
import { askToEnd, sendSignal, waitUntilGone } from '../processes/stop-process.ts'
import { EmbeddedPostgresError } from './errors.ts'

/** Fast shutdown, then immediate shutdown, then by force, and how long to wait after each. */
const STEPS = [
  { signal: 'SIGINT', withinMs: 10_000 },
  { signal: 'SIGQUIT', withinMs: 5_000 },
  { signal: 'SIGKILL', withinMs: 5_000 },
] as const
const PROGRAMS = ['postgres', 'initdb']
/** Backends without a postmaster end by themselves when they notice; a frozen one never does. */
const BACKENDS_MS_MAX = { asked: 500, killed: 5_000 } as const

/**
 * Makes room for a new postmaster on this cluster, whatever an earlier, killed supervisor left: a postmaster
 * that runs, is frozen or is shutting down, backends without one, and a postmaster.pid that PostgreSQL would
 * refuse to start because of. The pid file of a dead process stays: PostgreSQL removes it itself, after it
 * has made sure that nobody uses the shared memory.
 * The caller has the data dir's lock, so whatever runs on the cluster is an orphan for certain. Throws
 * EmbeddedPostgresError when something of it cannot be ended, and returns early when `giveUp` is aborted.
 */
export async function takeOverCluster(
  cluster: string,
  onLog: (line: string) => void,
  giveUp?: AbortSignal,
): Promise<void> {
  const pidFile = join(cluster, 'postmaster.pid')
  const pid = await readPid(pidFile)
  if (pid !== null && isAlive(pid) && isPostmasterOf(pid, cluster)) {
    onLog(`stopping the postmaster an earlier start left behind (process ${pid})`)
    for (const { signal, withinMs } of STEPS) {
      askToEnd(pid, signal)
      if ((await waitUntilGone(pid, withinMs, giveUp)) || giveUp?.aborted === true) break
    }
  }
  await endBackends(cluster, onLog, giveUp)
  if (giveUp?.aborted === true) return
  await removeMisleadingPidFile(pidFile, onLog)
}

/**
 * Ends PostgreSQL's programs that work in the cluster's folder, as the backends of a postmaster do: without
 * it they keep the shared memory in use. Does nothing where working folders cannot be seen (not on Linux).
 */
export async function endBackends(
  cluster: string,
  onLog: (line: string) => void,
  giveUp?: AbortSignal,
): Promise<void> {
  const backends = processesIn(cluster, PROGRAMS)
  await Promise.all(backends.map((pid) => waitUntilGone(pid, BACKENDS_MS_MAX.asked, giveUp)))
  const left = backends.filter(isAlive)
  if (left.length === 0 || giveUp?.aborted) return
  onLog(`ending what works in ${cluster} without a postmaster: process ${left.join(', ')}`)
  for (const pid of left) sendSignal(pid, 'SIGKILL')
  await Promise.all(left.map((pid) => waitUntilGone(pid, BACKENDS_MS_MAX.killed)))
  const stuck = left.filter(isAlive)
  if (stuck.length === 0) return
  throw new EmbeddedPostgresError(
    `process ${stuck.join(', ')} of an earlier PostgreSQL still uses ${cluster} and cannot be ended`,
  )
}

/**
 * PostgreSQL takes a pid file for a live postmaster's when its process id is known to the kernel: also when
 * another program has it now, or when it ended and nobody reaped it. And it takes an empty file, left by a
 * start that was killed at that moment or by a full disk, for a start in progress. Nothing uses the cluster.
 */
async function removeMisleadingPidFile(path: string, onLog: (line: string) => void): Promise<void> {
  const pid = await readPid(path)
  if (pid !== null && !isInProcessTable(pid)) return
  const isThere = await readFile(path).then(
    () => true,
    () => false,
  )
  if (!isThere) return
  onLog(
    pid === null
      ? 'removing a postmaster.pid that names no process'
      : `removing postmaster.pid: process ${pid} is no postmaster of this cluster, or has ended`,
  )
  await rm(path, { force: true })
}

/** The process that a pid file names (a postmaster for one user names itself below zero), or null. */
async function readPid(path: string): Promise<number | null> {
  const text = await readFile(path, 'utf8').catch(() => '')
  const pid = Math.abs(Number(text.split('\n')[0]))
  return Number.isInteger(pid) && pid > 0 ? pid : null
}

/**
 * A postmaster keeps its command line, in which we always name the cluster; its backends overwrite theirs.
 */
function isPostmasterOf(pid: number, cluster: string): boolean {
  return `${argumentsOf(pid)?.join(' ')} `.includes(` -D ${cluster} `)
}
