import { expect, test } from 'vitest'
import { fuzz, settleAndCheck } from '../support/fuzz.ts'
import { startTestApi } from '../support/start-api.ts'

const REQUESTS = 1_500
const DRAW = 154_647_400
const FUZZ_MS_MAX = 240_000

test(
  'whatever is asked of a documented call with whatever key, no answer is a 5xx, every error is documented and no money stays held',
  async () => {
    await using api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
    // The same draw each time; bench/fuzz.ts draws anew. A fault names the request.
    const seed = Number(process.env.FUZZ_SEED ?? DRAW)
    const result = await fuzz(api, { count: REQUESTS, seed, connections: 4 })
    expect(result.faults, `seed ${seed}`).toEqual([])
    expect(result.requests).toBe(REQUESTS)
    // The draw must not miss what it is for: accepted and refused submissions. How many depends on what was
    // limited before.
    expect(result.calls.createVideo?.[200]).toBeGreaterThan(0)
    expect(result.calls.createVideo?.[400]).toBeGreaterThan(0)
    expect((await settleAndCheck(api)).videos).toBeGreaterThan(0)
  },
  FUZZ_MS_MAX,
)
