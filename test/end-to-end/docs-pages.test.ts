import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { askServer } from '../support/ask-servers.ts'
import { requireProgram } from '../support/debian-package.ts'
import { fencedBlocks, indentedBlocks, readDoc } from '../support/doc-pages.ts'
import { quadrants } from '../support/images.ts'
import { type JsonServer, sayJson, startJsonServer } from '../support/json-server.ts'
import { type PasteShell, startPasteShell } from '../support/paste-shell.ts'
import { runProgram } from '../support/run-program.ts'
import { isEnded, submit, videoWhen } from '../support/service-videos.ts'
import { type Service, startService } from '../support/start-service.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts'

const SHORT = { prompt: 'a paper boat', num_frames: 5, num_steps: 5 }

let service: Service
let receiver: WebhookReceiver
let refiner: JsonServer
let pictures: { url: string; stop(): Promise<void> }
let dir: string

beforeAll(async () => {
  await requireProgram(['curl'], 'curl')
  receiver = await startWebhookReceiver()
  refiner = await startJsonServer((response) =>
    sayJson(response, { choices: [{ message: { content: 'A paper boat, in great detail' } }] }),
  )
  const picture = await quadrants(320, 192).jpeg().toBuffer()
  pictures = await serve(picture)
  service = await startService({
    queue: 'postgres',
    env: {
      SLUICE_ANIMATIC_STEP_MS: '20',
      SLUICE_WEBHOOK_ALLOW_HOSTS: '127.0.0.1',
      SLUICE_REFINER_URL: refiner.url,
      SLUICE_REFINER_MODEL: 'writer-1',
    },
  })
  dir = mkdtempSync(join(tmpdir(), 'sluice-test-docs-'))
  symlinkSync(service.dataDir, join(dir, '.sluice'))
  symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(dir, 'node_modules'))
  writeFileSync(join(dir, 'boat.jpg'), picture)
  writeFileSync(join(dir, 'boat.png'), await quadrants(192, 320).png().toBuffer())
})
afterAll(async () => {
  await service?.stop()
  await pictures?.stop()
  await refiner?.[Symbol.asyncDispose]()
  await receiver?.[Symbol.asyncDispose]()
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true })
})
beforeEach(() => {
  receiver.received.length = 0
})

/** Starts a web server with one picture. */
async function serve(picture: Buffer): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((_request, response) =>
    response.writeHead(200, { 'content-type': 'image/jpeg' }).end(picture),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop }
}

/** The page's lines with this service's address, and with hosts on this machine. */
const here = (block: string, ids: Record<string, string> = {}) =>
  Object.entries({
    ...ids,
    'http://127.0.0.1:3000': service.origin,
    'https://example.com/boat.jpg': `${pictures.url}/boat.jpg`,
    'https://example.com': receiver.url,
  }).reduce((text, [from, to]) => text.replaceAll(from, to), block)

const envOf = () => ({
  PATH: process.env.PATH ?? '',
  HOME: process.env.HOME ?? '/',
  BASE_URL: service.baseUrl,
  KEY: service.key,
})

/** Starts a shell in which curl also prints the status of every answer. */
async function startShell(): Promise<PasteShell> {
  const shell = startPasteShell(dir, envOf())
  await shell.paste(`curl() { command curl -w '\\n%{stderr}\\nstatus %{http_code}\\n' "$@"; }`)
  return shell
}

/** Pastes a block and returns its output; every call must be answered with 200. */
async function pasteAllRight(shell: PasteShell, block: string): Promise<string> {
  const said = await shell.paste(block)
  const statuses = [...said.matchAll(/^status (\d+)$/gm)].map((match) => match[1])
  expect(statuses, `${block}\n${said}`).toHaveLength(block.match(/\bcurl /g)?.length ?? 0)
  for (const status of statuses) expect(status, `${block}\n${said}`).toBe('200')
  return said
}

// biome-ignore lint/suspicious/noExplicitAny: tests read whatever the API answered, and fail on what is missing
const answersIn = (said: string): any[] =>
  said
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))

const cancelled = async () => {
  const id = await submit(service, { ...SHORT, num_steps: 100 })
  await service.call('POST', `/v1/videos/${id}/cancel`)
  return (await videoWhen(service, id, isEnded)).id as string
}

test('the lines of the README, pasted whole, end in the file', async () => {
  await using shell = startPasteShell(dir, envOf())
  const [curl = '', ...more] = fencedBlocks(readDoc('../README.md'), 'sh')
  expect(more).toEqual([])
  const said = await shell.paste(here(curl))
  const { id } = JSON.parse(said.slice(said.indexOf('{'), said.indexOf('\n')))
  const file = readFileSync(join(dir, 'boat.mp4'))
  expect(said).toContain(`boat.mp4: ${file.length} bytes`)
  expect(file.toString('latin1', 4, 8)).toBe('ftyp')
  await service.call('DELETE', `/v1/videos/${id}`)
})

test('the lines of the README say what was refused', async () => {
  await using shell = startPasteShell(dir, envOf())
  const [curl = ''] = fencedBlocks(readDoc('../README.md'), 'sh')
  const said = await shell.paste(here(curl).replace('a paper boat in the rain', ''))
  expect(said).toContain('"param":"prompt"')
})

test('docs/video-calls.md: every line does what is said beside it', async () => {
  await using shell = await startShell()
  const [key = '', quote = '', flex = '', promised = '', retry = '', events = '', refined = '', ...more] =
    indentedBlocks(readDoc('video-calls.md'))
  expect(more).toEqual([])
  await pasteAllRight(shell, key)
  const [told] = answersIn(await pasteAllRight(shell, here(quote)))
  expect(told).toMatchObject({
    affordable: true,
    within_limits: false,
    largest: { size: '1024x576' },
    cost: { amount: '2.28096' },
  })
  const [market] = answersIn(await pasteAllRight(shell, here(flex)))
  expect(market).toMatchObject({ service_tier: 'flex', max_price: '0.12' })
  await service.call('POST', `/v1/videos/${market.id}/cancel`)
  const { account_id: accountId } = (await service.call('GET', '/v1/key')).body
  await service.call('PATCH', `/v1/admin/accounts/${accountId}`, { promises: true }, service.adminKey)
  const [forecast] = answersIn(await pasteAllRight(shell, here(promised)))
  expect(forecast.promise).toMatchObject({ can_be_kept: true, service_tier: 'standard' })
  const failed = await cancelled()
  const [again] = answersIn(await pasteAllRight(shell, here(retry, { VIDEO_ID: failed })))
  expect(again).toMatchObject({ object: 'video', retried_from: failed })
  expect(await pasteAllRight(shell, here(events, { VIDEO_ID: failed }))).toContain('event: video.failed')
  const [video] = answersIn(await pasteAllRight(shell, here(refined)))
  expect(video).toMatchObject({
    prompt: 'a paper boat in the rain',
    refined_prompt: 'A paper boat, in great detail',
    refinement: 'refined',
  })
  await service.call('DELETE', `/v1/videos/${video.id}`)
})

test('docs/input-images.md: every line makes a video from the image', async () => {
  await using shell = await startShell()
  const blocks = indentedBlocks(readDoc('input-images.md'))
  expect(blocks).toHaveLength(3)
  for (const [index, size] of ['336x192', '336x192', '192x336'].entries()) {
    const [video] = answersIn(await pasteAllRight(shell, here(blocks[index] ?? '')))
    expect(video).toMatchObject({ object: 'video', mode: 'i2v', size, prompt: 'the boat drifts off' })
    await service.call('DELETE', `/v1/videos/${video.id}`)
  }
})

test('docs/keys-and-admin.md: every line of curl and of the command works, in order', async () => {
  await using shell = await startShell()
  const blocks = indentedBlocks(readDoc('keys-and-admin.md'))
  const ids: Record<string, string> = {}
  for (const block of blocks) {
    // The page's ids stand for those in the answers to earlier lines.
    for (const line of block.split(/\n(?=curl|npx|\w+=)/)) {
      const said = await pasteAllRight(shell, here(line, ids))
      const made =
        answersIn(said).find((answer) => typeof answer.id === 'string')?.id ??
        /key_[0-9a-z]{26}/.exec(said)?.[0] ??
        ''
      if (made.startsWith('acct_')) ids.ACCOUNT_ID ??= made
      if (made.startsWith('key_') && !line.includes('/v1/key ')) ids.KEY_ID = made
    }
  }
  expect(Object.keys(ids)).toEqual(['ACCOUNT_ID', 'KEY_ID'])
  expect(readFileSync(join(dir, 'usage.csv'), 'utf8')).toMatch(/^key_id,/)
  expect(await shell.end()).toBe('exit 0')
})

/** The names of all fields, in order. */
function shapeOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return null
  return Object.entries(value).map(([name, field]) => [name, shapeOf(field)])
}

test('docs/webhooks.md: every line works, and what comes verifies in Node and in Python as the page does it', async () => {
  await using shell = await startShell()
  const all = indentedBlocks(readDoc('webhooks.md'))
  const [event = '', balanceEvent = '', ...samples] = all.filter((block) => block.startsWith('{'))
  const blocks = all.filter((block) => !block.startsWith('{'))
  expect(samples).toEqual([])
  const endpoint = async () => {
    const { body } = await service.call('POST', '/v1/webhook_endpoints', {
      url: `${receiver.url}/hooks/sluice`,
    })
    await shell.paste(`ENDPOINT=${body.id}`)
    return body as { id: string; secret: string }
  }
  const { id, secret } = await endpoint()
  await cancelled()
  const [delivery] = await receiver.atLeast(1)
  if (delivery === undefined) throw new Error('nothing came')
  expect(Object.keys(delivery.event)).toEqual(Object.keys(JSON.parse(event)))
  const sample = { event_type: 'balance.low' }
  expect((await service.call('POST', `/v1/webhook_endpoints/${id}/test`, sample)).status).toBe(200)
  const tested = (await receiver.atLeast(2)).at(-1)?.event
  expect(shapeOf(tested)).toEqual(shapeOf(JSON.parse(balanceEvent)))

  for (const block of blocks) {
    const said = await pasteAllRight(shell, here(block))
    // The page deletes one endpoint, goes on with another, and later names the delivery of a test.
    if (block.includes('DELETE')) await endpoint()
    if (block.includes('/test"')) await shell.paste(`DELIVERY=${answersIn(said)[0].id}`)
  }
  expect(await shell.end()).toBe('exit 0')

  const given = {
    key: service.key,
    base_url: service.baseUrl,
    secret,
    raw_body: delivery.raw,
    headers: delivery.headers,
  }
  const env = { ...envOf(), GIVEN: JSON.stringify(given) }
  const [verifyNode = ''] = fencedBlocks(readDoc('webhooks.md'), 'js')
  const [verifyPython = ''] = fencedBlocks(readDoc('webhooks.md'), 'python')
  const node = `const given = JSON.parse(process.env.GIVEN)
const { key, base_url: baseURL, secret, raw_body: rawBody, headers } = given
const request = { headers }
${verifyNode}
console.log(JSON.stringify(event))`
  const python = `import json, os, types
given = json.loads(os.environ["GIVEN"])
key, base_url, secret, raw_body = (given[name] for name in ("key", "base_url", "secret", "raw_body"))
request = types.SimpleNamespace(headers=given["headers"])
${verifyPython}
print(event.model_dump_json())`
  writeFileSync(join(dir, 'verify.mjs'), node)
  writeFileSync(join(dir, 'verify.py'), python)
  const options = { cwd: dir, env, withinMs: 60_000 }
  expect(JSON.parse(await runProgram(process.execPath, ['verify.mjs'], options))).toEqual(delivery.event)
  const interpreter = (await askServer('pythonOpenai')).python
  expect(JSON.parse(await runProgram(interpreter, ['-W', 'ignore', 'verify.py'], options))).toMatchObject({
    id: delivery.event.id,
  })
})
