import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { readWorkerConfig } from '../config.ts'
import { Slots } from './slots.ts'

/** A runner that says it is ready with these fields too, and then waits for the end of its stdin. */
function readyRunner(fields: object): readonly [string, ...string[]] {
  const ready = {
    type: 'ready',
    device: 'cpu',
    devices: 1,
    vram_bytes: 0,
    models: ['animatic'],
    limits: { frames_max: 129, pixels_max: 589_824 },
    ...fields,
  }
  const line = JSON.stringify(JSON.stringify(ready))
  const program = `require('fs').writeSync(3, ${line} + '\\n'); process.stdin.on('end', process.exit).resume()`
  return [process.execPath, '-e', program]
}

/** What a heartbeat says of one slot with this runner, once it is ready. */
async function describedBy(fields: object) {
  const config = readWorkerConfig({
    SLUICE_API_URL: 'http://127.0.0.1:1',
    SLUICE_WORKER_TOKEN: 'a-token-of-32-characters-or-more-',
    SLUICE_QUEUE_URL: 'postgres://a:b@127.0.0.1/sluice',
    SLUICE_POOL: 'studio',
  })
  const runner = { ...config.runner, command: readyRunner(fields) }
  const slots = new Slots({ ...config, runner, slots: ['0'] }, pino({ level: 'silent' }), () => {})
  onTestFinished(() => slots.kill())
  await expect.poll(() => slots.describe()?.slots, { timeout: 10_000 }).toBe(1)
  return slots.describe()
}

test('what is loaded is said where a switch costs something, and else nobody shall be passed over for it', async () => {
  expect(await describedBy({})).toMatchObject({ loaded: [{ slot: 0, model: 'animatic' }] })
  expect(await describedBy({ switches_at_once: true })).not.toHaveProperty('loaded')
})
