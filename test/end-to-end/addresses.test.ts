import { expect, test } from 'vitest'
import { isEnded, submit, videoWhen } from '../support/service-videos.ts'
import { startService } from '../support/start-service.ts'

const SHORT = { prompt: 'a boat', size: '256x256', num_frames: 1, num_steps: 3 }

test('HOST=::1 makes a video, and every URL is one of ::1', async () => {
  await using service = await startService({
    queue: 'postgres',
    env: { HOST: '::1', SLUICE_ANIMATIC_STEP_MS: '1' },
  })
  expect(service.baseUrl).toMatch(/^http:\/\/\[::1\]:\d+\/v1$/)
  const id = await submit(service, SHORT)
  expect(await videoWhen(service, id, isEnded)).toMatchObject({ status: 'completed' })
  const content = await fetch(`${service.baseUrl}/videos/${id}/content`, {
    headers: { authorization: `Bearer ${service.key}` },
  })
  expect(content.status).toBe(200)
  await content.arrayBuffer()
  expect(service.output()).toMatch(/Open {5}http:\/\/\[::1\]:\d+\/#key=/)
  expect(service.output()).not.toContain('127.0.0.1')
})
