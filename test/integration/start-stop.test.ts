import { afterAll, beforeAll, test } from 'vitest'
import { startApi } from '../../apps/api/src/start-api.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

test('an API that is stopped while it still opens its connections stops', async () => {
  for (let round = 0; round < 10; round += 1) {
    const starting = await startApi({ ...api.config, http: { ...api.config.http, port: 0 } })
    await starting.stop()
  }
})
