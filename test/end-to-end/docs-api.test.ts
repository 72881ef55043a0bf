import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { askServer } from '../support/ask-servers.ts'
import { requireProgram } from '../support/debian-package.ts'
import { fencedBlocks, readDoc } from '../support/doc-pages.ts'
import { eventually } from '../support/eventually.ts'
import { readMp4Facts } from '../support/mp4-facts.ts'
import { startPasteShell } from '../support/paste-shell.ts'
import { runProgram } from '../support/run-program.ts'
import { type Service, startService } from '../support/start-service.ts'
import { STRIPE_SECRET } from '../support/stripe-events.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts'

const page = readDoc('api.md')
const [preamble = '', ...sections] = page.split(/^### /m)
const calls = sections.map((text) => ({
  call: text.slice(0, text.indexOf('\n')),
  statuses: (/^Answers (\d+)(?: or (\d+))?:/m.exec(text) ?? [])
    .slice(1)
    .filter((status) => status !== undefined),
  text,
}))
const blockOf = (text: string, language: string) => fencedBlocks(text, language)[0] ?? ''

let service: Service
let receiver: WebhookReceiver
let dir: string
let env: Record<string, string>

// Each language gets a service of its own: the page's account names and transfer keys work once.
beforeEach(async () => {
  receiver = await startWebhookReceiver()
  service = await startService({
    queue: 'postgres',
    env: {
      SLUICE_LOG: 'debug',
      SLUICE_ANIMATIC_STEP_MS: '20',
      SLUICE_WEBHOOK_ALLOW_HOSTS: '127.0.0.1',
      SLUICE_STRIPE_WEBHOOK_SECRET: STRIPE_SECRET,
    },
  })
  dir = mkdtempSync(join(tmpdir(), 'sluice-test-docs-'))
  symlinkSync(service.dataDir, join(dir, '.sluice'))
  const { baseUrl, key, adminKey } = service
  env = {
    ...{ PATH: process.env.PATH ?? '', BASE_URL: baseUrl, KEY: key, ADMIN_KEY: adminKey, HOOK: receiver.url },
    STRIPE_SECRET,
  }
})
afterEach(async () => {
  await service?.stop()
  await receiver?.[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
})

/** The page's outcome in every language: a video of the requested size, and deliveries of its webhooks. */
async function expectItsEnd(): Promise<void> {
  expect(readMp4Facts(readFileSync(join(dir, 'boat.mp4')))).toMatchObject({
    width: 336,
    height: 192,
    samples: 33,
  })
  const types = (await receiver.atLeast(2)).map(({ event }) => event.type)
  expect(types).toContain('webhook.test')
}

/** The calls that reached the API and their statuses, from its log. */
function callsInLog(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const line of readFileSync(join(service.dataDir, 'logs', 'api.log'), 'utf8').split('\n')) {
    const { req, res } = line.startsWith('{') ? JSON.parse(line) : {}
    if (req === undefined) continue
    const { call } = calls.find((one) => patternOf(one.call).test(`${req.method} ${req.path}`)) ?? {}
    if (call === undefined) continue
    found.set(call, (found.get(call) ?? new Set()).add(String(res.status)))
  }
  return found
}
const patternOf = (call: string) => new RegExp(`^${call.replace('/', '\\/').replace('{id}', '[^/]+')}$`)

/** The log comes through a pipe: its last lines may be written after the program has ended. */
async function expectEachCallAsDocumented(): Promise<void> {
  const unlike = async () => {
    const found = callsInLog()
    return calls.flatMap(({ call, statuses }) => {
      const got = [...(found.get(call) ?? [])]
      return got.some((status) => statuses.includes(status)) ? [] : [{ call, got, documented: statuses }]
    })
  }
  expect(await eventually(unlike, ({ length }) => length === 0)).toEqual([])
}

test('every curl block runs as pasted, ends with 0 and is answered with the status that the page says', async () => {
  await requireProgram(['curl'], 'curl')
  // The page's first block reads keys.json, as a reader's shell does.
  await using shell = startPasteShell(dir, { PATH: env.PATH ?? '', HOOK: receiver.url, STRIPE_SECRET })
  // A curl that also writes each answer's status to a file, and is otherwise the real one.
  await shell.paste(`curl() { command curl -w '%{stderr}\\nstatus %{http_code}\\n' "$@"; }`)
  await shell.paste(blockOf(preamble, 'sh'))
  for (const { call, statuses, text } of calls) {
    const answer = await shell.paste(blockOf(text, 'sh'))
    const got = [...answer.matchAll(/^status (\d+)$/gm)].map((match) => match[1] ?? '')
    expect(got.length, `${call}: ${answer}`).toBeGreaterThan(0)
    for (const status of got) expect(statuses, `${call}: ${answer}`).toContain(status)
  }
  expect(await shell.end()).toBe('exit 0')
  await expectEachCallAsDocumented()
  await expectItsEnd()
})

test('the Node blocks, one after the other, are a program that makes every call and ends with 0', async () => {
  symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(dir, 'node_modules'))
  writeFileSync(
    join(dir, 'program.mjs'),
    [preamble, ...sections].map((text) => blockOf(text, 'js')).join('\n'),
  )
  const said = await runProgram(process.execPath, ['program.mjs'], { cwd: dir, env, withinMs: 120_000 })
  expect(said.match(/unsupported_operation/g)).toHaveLength(4)
  await expectEachCallAsDocumented()
  await expectItsEnd()
})

test('the Python blocks, one after the other, are a program that makes every call and ends with 0', async () => {
  const { python } = await askServer('pythonOpenai')
  writeFileSync(
    join(dir, 'program.py'),
    [preamble, ...sections].map((text) => blockOf(text, 'python')).join('\n'),
  )
  const said = await runProgram(python, ['-W', 'ignore', 'program.py'], { cwd: dir, env, withinMs: 120_000 })
  expect(said.match(/unsupported_operation/g)).toHaveLength(4)
  await expectEachCallAsDocumented()
  await expectItsEnd()
})
