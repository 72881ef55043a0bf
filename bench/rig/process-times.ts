import { readdir, readFile } from 'node:fs/promises'

/** What Linux counts processor time in, for every program that reads it: USER_HZ. */
const TICKS_PER_SECOND = 100

interface ProcessTimes {
  parent: number
  /** Of the process, and of its children that have ended. */
  ticks: number
}

/**
 * CPU seconds of a process and of all its children, those that have ended as well; NaN where there is no
 * /proc.
 */
export async function cpuSecondsOfFamily(pid: number): Promise<number> {
  const pids = (await readdir('/proc').catch(() => [])).map(Number).filter(Number.isInteger)
  const times = await Promise.all(
    pids.map(async (candidate) => ({ candidate, ...(await timesOf(candidate)) })),
  )
  const family = times.filter(({ candidate, parent }) => candidate === pid || parent === pid)
  if (family.length === 0) return Number.NaN
  return family.reduce((total, { ticks = 0 }) => total + ticks, 0) / TICKS_PER_SECOND
}

/** Nothing of a process that has ended. */
async function timesOf(pid: number): Promise<Partial<ProcessTimes>> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  if (stat === null) return {}
  // The name, in brackets, may hold anything; the fields are counted behind it, from the third on.
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
  const ticks = fields.slice(11, 15).reduce((total, value) => total + value, 0)
  return { parent: fields[1] ?? 0, ticks }
}
