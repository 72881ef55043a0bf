import express from 'express'
import { createRequestSchema } from '../../../apps/api/src/submissions/create-request.ts'
import { openProducer, PURPOSES, type RivalQueue } from './queues.ts'

/**
 * What one writes in an afternoon: Express and zod (with Sluice's own schema of a submission) in front of a
 * queue; no keys, no money, no idempotency. Settings: RIVAL_QUEUE, RIVAL_URL, PORT.
 */
const { RIVAL_QUEUE = '', RIVAL_URL = '', PORT = '' } = process.env
const producer = await openProducer(RIVAL_QUEUE as RivalQueue, RIVAL_URL)
const app = express()
app.use(express.json())
for (const purpose of PURPOSES) {
  app.post(`/${purpose}`, async (request, response) => {
    const parsed = createRequestSchema.safeParse(request.body)
    if (!parsed.success) {
      response.status(400).json({ error: parsed.error.issues[0]?.message })
      return
    }
    const id = await producer.add(purpose, parsed.data)
    response.json({ id, object: 'video', status: 'queued', ...parsed.data })
  })
}
app.get('/health', (_request, response) => {
  response.json({ status: 'ok' })
})
app.listen(Number(PORT), '127.0.0.1')
process.once('disconnect', () => process.exit())
