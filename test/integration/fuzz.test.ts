import { expect, test } from 'vitest'
import { fuzz, settleAndCheck } from '../support/fuzz.ts'
import { startTestApi } from '../support/start-api.ts'

const REQUESTS = 1_500
const FUZZ_MS_MAX = 240_000

test(
  'whatever is asked of a documented call with whatever key, no answer is a 5xx, every error is documented and no money stays held',
  async () => {
    await using api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
    // Another draw each time: a fault names the request, and the seed draws it again.
    const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
    const result = await fuzz(api, { count: REQUESTS, seed, connections: 4 })
    expect(result.faults, `seed ${seed}`).toEqual([])
    expect(result.requests).toBe(REQUESTS)
    // The draw must not miss what it is for: accepted and refused submissions.
    expect(result.calls.createVideo?.[200]).toBeGreaterThan(20)
    expect(result.calls.createVideo?.[400]).toBeGreaterThan(20)
    expect((await settleAndCheck(api)).videos).toBeGreaterThan(20)
  },
  FUZZ_MS_MAX,
)
