import { expect, test } from 'vitest'
import { z } from 'zod'
import { JsonReply, RawReply } from './reply.ts'
import { publicRoute } from './route.ts'

const CALL = {
  method: 'get',
  path: '/weather',
  operationId: 'weather',
  tag: 'service',
  summary: 'The weather',
  errors: [],
} as const
const schema = z.object({ object: z.literal('weather'), degrees: z.number() })
const asJson = { ...CALL, answers: { 200: { description: 'JSON.', schema } } }
const asPicture = { ...CALL, answers: { 200: { description: 'A picture.', contentTypes: ['image/png'] } } }

test('what a handler returns is checked by the compiler against the answers that its call documents', () => {
  const routes = [
    publicRoute(asJson, async () => ({ object: 'weather', degrees: 21 })),
    publicRoute(asJson, async () => new JsonReply({ object: 'weather', degrees: 21 }, { status: 200 })),
    publicRoute(asPicture, async () => new RawReply((response) => void response.end())),
    // @ts-expect-error The number is missing.
    publicRoute(asJson, async () => ({ object: 'weather' })),
    // @ts-expect-error The number is text.
    publicRoute(asJson, async () => ({ object: 'weather', degrees: '21' })),
    // @ts-expect-error So it is beside a header.
    publicRoute(asJson, async () => new JsonReply({ object: 'weather', degrees: '21' }, { headers: {} })),
    // @ts-expect-error The document knows no picture.
    publicRoute(asJson, async () => new RawReply((response) => void response.end())),
    // @ts-expect-error The document knows no JSON.
    publicRoute(asPicture, async () => ({ object: 'weather', degrees: 21 })),
  ]
  expect(routes).toHaveLength(8)
})
