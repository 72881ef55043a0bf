import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findConnection } from './find-connection.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-connection-'))
  await writeFile(
    join(dir, 'keys.json'),
    JSON.stringify({ key: 'sk-file', admin_key: 'sk-admin', base_url: 'http://127.0.0.1:4000/v1' }),
  )
})
afterEach(() => rm(dir, { recursive: true, force: true }))

describe('the connection of the command line', () => {
  it('is what the environment names before what the data dir holds', async () => {
    const env = {
      SLUICE_DATA_DIR: dir,
      SLUICE_API_KEY: 'sk-env',
      SLUICE_BASE_URL: 'https://videos.example/v1/',
    }
    expect(await findConnection(env)).toEqual({ key: 'sk-env', baseUrl: 'https://videos.example/v1' })
    const openai = { SLUICE_DATA_DIR: dir, OPENAI_API_KEY: 'sk-o', OPENAI_BASE_URL: 'http://other/v1' }
    expect(await findConnection(openai)).toEqual({ key: 'sk-o', baseUrl: 'http://other/v1' })
  })

  it('comes from keys.json otherwise', async () => {
    expect(await findConnection({ SLUICE_DATA_DIR: dir })).toEqual({
      key: 'sk-file',
      baseUrl: 'http://127.0.0.1:4000/v1',
    })
    expect(
      await findConnection({ SLUICE_DATA_DIR: dir, SLUICE_BASE_URL: 'http://127.0.0.1:5/v1' }),
    ).toMatchObject({ key: 'sk-file' })
  })

  it('is understood without /v1, and with the path of a call', async () => {
    const urls = [
      'http://host:3000',
      'http://host:3000/',
      'http://host:3000/v1/',
      'http://host:3000/v1/videos',
    ]
    for (const url of urls) {
      const env = { SLUICE_DATA_DIR: dir, SLUICE_BASE_URL: url }
      expect(await findConnection(env)).toMatchObject({ baseUrl: 'http://host:3000/v1' })
    }
    const proxied = { SLUICE_DATA_DIR: dir, SLUICE_BASE_URL: 'https://host/films' }
    expect(await findConnection(proxied)).toMatchObject({ baseUrl: 'https://host/films/v1' })
  })

  it("never sends a key of OpenAI's to this service unless a base URL came with it", async () => {
    expect(await findConnection({ SLUICE_DATA_DIR: dir, OPENAI_API_KEY: 'sk-openai' })).toMatchObject({
      key: 'sk-file',
    })
  })

  it('says what to do when there is none', async () => {
    await expect(findConnection({ SLUICE_DATA_DIR: join(dir, 'none') })).rejects.toThrow(
      /no API key.*npm start.*SLUICE_API_KEY/,
    )
    await expect(findConnection({ SLUICE_DATA_DIR: dir, SLUICE_BASE_URL: 'videos.example' })).rejects.toThrow(
      /^SLUICE_BASE_URL is .*http:\/\/ or https:\/\//,
    )
  })
})
