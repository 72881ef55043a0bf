import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { curlLines, generateLine } from './first-steps.ts'
import { readUpSettings } from './settings.ts'

const keys = (baseUrl: string) => ({ key: 'sk-test', admin_key: 'sk-admin', base_url: baseUrl })

describe('what a start prints', () => {
  it('is a curl command that ends with the MP4 when pasted', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-curl-'))
    let asked = 0
    const server = createServer((request, response) => {
      if (request.headers.authorization !== 'Bearer sk-test') return void response.writeHead(401).end()
      if (request.url?.endsWith('/content')) {
        return void response.writeHead(302, { location: '/stored' }).end()
      }
      if (request.url === '/stored') return void response.end('the MP4')
      const status = request.method === 'POST' || ++asked < 2 ? 'queued' : 'completed'
      response.end(
        JSON.stringify({
          id: 'video_01h455vb4pex5vsknk084sn02q',
          usage: { video_tokens: 1 },
          object: 'video',
          status,
          remixed_from_video_id: null,
          prompt: 'completed',
        }),
      )
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const port = (server.address() as AddressInfo).port
    const settings = readUpSettings({ PORT: String(port) })
    try {
      await promisify(execFile)('sh', ['-c', curlLines(settings, keys(`${settings.apiUrl}/v1`))], {
        cwd: dir,
      })
      expect(await readFile(join(dir, 'boat.mp4'), 'utf8')).toBe('the MP4')
    } finally {
      server.close()
      await rm(dir, { recursive: true, force: true })
    }
  })

  it('carries the settings another shell does not have, and only those', () => {
    const plain = readUpSettings({ SLUICE_DATA_DIR: '/srv/sluice/.sluice' })
    const prompt = '"a paper boat in the rain" -o boat.mp4'
    expect(generateLine(plain, keys('http://127.0.0.1:3000/v1'), '/srv/sluice')).toBe(
      `npx sluice generate ${prompt}`,
    )
    const moved = readUpSettings({ SLUICE_DATA_DIR: "/srv/it's here", PORT: '4000' })
    expect(generateLine(moved, keys('http://127.0.0.1:3000/v1'), '/srv/sluice')).toBe(
      `SLUICE_DATA_DIR='/srv/it'\\''s here' SLUICE_BASE_URL=http://127.0.0.1:4000/v1 npx sluice generate ${prompt}`,
    )
  })
})
