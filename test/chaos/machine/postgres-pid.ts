import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { clusterPaths } from '../../../apps/cli/src/embedded-postgres/cluster-files.ts'
import { isAlive } from '../../../apps/cli/src/processes/process-identity.ts'

/** The live postmaster of an embedded cluster, or null. `dir` is the folder that holds the cluster. */
export function postmasterPid(dir: string): number | null {
  try {
    const pid = Number(readFileSync(join(clusterPaths(dir).cluster, 'postmaster.pid'), 'utf8').split('\n')[0])
    return isAlive(pid) ? pid : null
  } catch {
    return null
  }
}

/** The superuser's URL of database `sluice` of an embedded cluster. */
export function superuserUrl(dir: string): string {
  const paths = clusterPaths(dir)
  const { postgres } = JSON.parse(readFileSync(paths.passwords, 'utf8')) as { postgres: string }
  const port = readFileSync(paths.port, 'utf8').trim()
  return `postgres://postgres:${postgres}@127.0.0.1:${port}/sluice`
}
