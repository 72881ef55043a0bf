import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { argumentsOf, isAlive } from '../processes/process-identity.ts'
import { sendSignal, waitUntilGone } from '../processes/stop-process.ts'

/** Fast shutdown, then immediate shutdown, then by force, and how long to wait after each. */
const STEPS = [
  { signal: 'SIGINT', withinMs: 10_000 },
  { signal: 'SIGQUIT', withinMs: 5_000 },
  { signal: 'SIGKILL', withinMs: 5_000 },
] as const

/**
 * Stops a postmaster that an earlier, killed supervisor left running on this cluster. Removes a
 * postmaster.pid whose pid now belongs to another process, since PostgreSQL would refuse to start because of
 * it. The pid file of a dead process stays:
 * PostgreSQL removes it itself, after it has made sure that no old backend still uses the shared memory.
 * The caller has the data dir's lock, so a live postmaster is an orphan for certain.
 */
export async function takeOverCluster(cluster: string, onLog: (line: string) => void): Promise<void> {
  const pidFile = join(cluster, 'postmaster.pid')
  const text = await readFile(pidFile, 'utf8').catch(() => '')
  const pid = Math.abs(Number(text.split('\n')[0]))
  if (!Number.isInteger(pid) || pid === 0 || !isAlive(pid)) return
  if (!isPostmasterOf(pid, cluster)) {
    onLog(`removing postmaster.pid: process ${pid} is another program now`)
    await rm(pidFile, { force: true })
    return
  }
  onLog(`stopping the postmaster an earlier start left behind (process ${pid})`)
  for (const { signal, withinMs } of STEPS) {
    sendSignal(pid, signal)
    if (await waitUntilGone(pid, withinMs)) return
  }
}

/**
 * A postmaster keeps its command line, in which we always name the cluster; its backends overwrite theirs.
 */
function isPostmasterOf(pid: number, cluster: string): boolean {
  return argumentsOf(pid)?.includes(cluster) ?? false
}
