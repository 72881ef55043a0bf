import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { urlsFromElsewhere } from '@sluice/shared/own-address'
import { describe, expect, it } from 'vitest'
import { curlLines, firstSteps, generateLine } from './first-steps.ts'
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

  it('shows the reason when pasted where the video is refused, fails or cannot be fetched', async () => {
    const video = (status: string) => ({ id: 'video_01h455vb4pex5vsknk084sn02q', status, error: null })
    const cases: [string, (url: string, method: string) => [number, object]][] = [
      ['no credit left', () => [429, { error: { message: 'no credit left' } }]],
      [
        'three workers died',
        (_url, method) =>
          method === 'POST'
            ? [200, video('queued')]
            : [200, { ...video('failed'), error: { message: 'three workers died' } }],
      ],
      [
        'not there any more',
        (url) =>
          url.endsWith('/content')
            ? [404, { error: { message: 'not there any more' } }]
            : [200, video('completed')],
      ],
    ]
    const dir = await mkdtemp(join(tmpdir(), 'sluice-curl-'))
    for (const [reason, answer] of cases) {
      const server = createServer((request, response) => {
        const [status, body] = answer(request.url ?? '', request.method ?? '')
        response.writeHead(status).end(JSON.stringify(body))
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const settings = readUpSettings({ PORT: String((server.address() as AddressInfo).port) })
      const lines = curlLines(settings, keys(`${settings.apiUrl}/v1`))
      const { stdout } = await promisify(execFile)('sh', ['-c', lines], { cwd: dir })
      expect(stdout).toContain(reason)
      server.close()
    }
    await rm(dir, { recursive: true, force: true })
  })

  it('names the addresses at which others reach a service that listens on all of them, unless a setting says one', () => {
    const printed = (env: Record<string, string>) => firstSteps(readUpSettings(env), keys('http://x/v1'))
    const others = urlsFromElsewhere('0.0.0.0', 3_000)
    for (const url of others) expect(printed({ HOST: '0.0.0.0' })).toContain(url)
    expect(printed({ HOST: '0.0.0.0' })).toContain('Open     http://127.0.0.1:3000/#key=')
    const named = printed({ HOST: '0.0.0.0', SLUICE_PUBLIC_URL: 'https://videos.example' })
    expect(named).toContain('Open     https://videos.example/#key=')
    for (const url of others) expect(named).not.toContain(url)
    expect(printed({ HOST: '[::1]' })).toContain('Open     http://[::1]:3000/#key=')
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
