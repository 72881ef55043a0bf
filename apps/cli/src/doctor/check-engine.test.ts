import { expect, onTestFinished, test } from 'vitest'
import { servedWan } from '../../../../test/support/spawned-engine.ts'
import { StandInEngine } from '../../../../test/support/stand-in-engine.ts'
import { checkEngine } from './check-engine.ts'
import { checkRunner } from './check-runner.ts'

async function check(env: Record<string, string>) {
  return checkEngine({ PATH: process.env.PATH, ...env }, [servedWan()])
}

test('an engine is asked as a worker would ask it: what it is, its key, and whether it has the models', async () => {
  const engine = await new StandInEngine('vllm-omni').start()
  onTestFinished(() => engine[Symbol.asyncDispose]())
  expect(await check({ SLUICE_ENGINE_URL: engine.url, SLUICE_ENGINE_KEY: 'key' })).toEqual([
    { part: 'engine', state: 'ok', text: 'vllm-omni: has wan (t2v, i2v)' },
  ])
  expect(engine.calls).toEqual([{ method: 'GET', path: '/v1/models', authorization: 'Bearer key' }])
  engine.models = ['another']
  expect(await check({ SLUICE_ENGINE_URL: engine.url })).toMatchObject([
    { state: 'fail', text: expect.stringContaining('model wan: the engine has no "wan"; it has another') },
  ])
  engine.refusal = () => ({ status: 401, body: {} })
  expect(await check({ SLUICE_ENGINE_URL: engine.url })).toMatchObject([
    {
      state: 'fail',
      text: expect.stringContaining('the key (SLUICE_ENGINE_KEY or SLUICE_ENGINE_KEY_FILE) is refused'),
    },
  ])
})

test('settings that cannot be used are named, each with what is allowed', async () => {
  expect(await checkRunner({ SLUICE_RUNNER: 'engine', SLUICE_ENGINE_DIALECT: 'x' })).toMatchObject([
    { part: 'runner', state: 'ok' },
    { part: 'engine', state: 'fail', text: expect.stringContaining('SLUICE_ENGINE_URL is not set') },
    { part: 'engine', state: 'fail', text: expect.stringContaining('SLUICE_ENGINE_DIALECT is "x"') },
  ])
})
