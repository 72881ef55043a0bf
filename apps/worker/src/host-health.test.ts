import { mkdirSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { HostHealth } from './host-health.ts'

test('a host that failed a video is unwell until a file can be written, and looks later each time until a video succeeds', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-health-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const workDir = join(dir, 'work')
  const lines: string[] = []
  const changes: boolean[] = []
  const health: HostHealth = new HostHealth({
    workDir,
    onChange: () => changes.push(health.isWell),
    log: pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) }),
  })
  onTestFinished(() => health.stop())
  const tries = () => lines.filter((line) => line.includes('cannot be written yet')).length

  health.failed('no space left on device')
  health.failed('no space left on device')
  // The folder is not there.
  await eventually(
    async () => tries(),
    (count) => count === 1,
  )
  expect([health.isWell, ...changes]).toEqual([false, false])
  mkdirSync(workDir)
  await eventually(
    async () => health.isWell,
    (isWell) => isWell,
  )
  expect(changes).toEqual([false, true])
  expect(await readdir(workDir)).toEqual([])
  const msUnwell = async () => {
    const startedMs = performance.now()
    health.failed('no space left on device')
    await eventually(
      async () => health.isWell,
      (isWell) => isWell,
    )
    return performance.now() - startedMs
  }
  // After half a second and one it is two, less a tenth.
  const grownMs = await msUnwell()
  expect(grownMs).toBeGreaterThanOrEqual(1_800)
  health.succeeded()
  expect(await msUnwell()).toBeLessThan(grownMs)
})
