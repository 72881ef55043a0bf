import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askServer } from '../support/ask-servers.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { quadrants } from '../support/images.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const PROGRAMS = fileURLToPath(new URL('generated/', import.meta.url))
/** A fresh machine downloads the packages first. */
const INSTALL_MS = 300_000
const execute = promisify(execFile)

let api: TestApi
let dir: string
let node: string
let python: { python: string; bin: string }

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-test-generated-'))
  api = await startTestApi()
  const [nodeOpenApi, pythonOpenApi, document] = await Promise.all([
    askServer('nodeOpenApi'),
    askServer('pythonOpenApi'),
    api.call('GET', '/openapi.json'),
  ])
  node = nodeOpenApi.dir
  python = pythonOpenApi
  await writeFile(join(dir, 'openapi.json'), JSON.stringify(document.body))
  await writeFile(join(dir, 'package.json'), '{"type": "module"}')
  await symlink(join(node, 'node_modules'), join(dir, 'node_modules'))
  await quadrants(320, 200).png().toFile(join(dir, 'image.png'))
}, INSTALL_MS)
afterAll(async () => {
  await api?.stop()
  await rm(dir, { recursive: true, force: true })
})

/** Runs a program of the generators' packages in the folder of this test. Throws with what it said. */
async function runIn(program: string, args: readonly string[], env: Record<string, string> = {}) {
  const { stdout, stderr } = await execute(program, args, {
    cwd: dir,
    env: { PATH: process.env.PATH, ...env },
    maxBuffer: 16 * 1024 * 1024,
  }).catch((error: { message: string; stdout: string }) => {
    throw new Error(`${error.message}\n${error.stdout}`)
  })
  return { stdout, stderr }
}
const runNode = (script: string, args: readonly string[], env: Record<string, string> = {}) =>
  runIn(process.execPath, [script, ...args], env)
const inNode = (path: string) => join(node, 'node_modules', path)

/** Type-checks a program against what was generated, strictly, then runs it and reads what it says. */
async function checked(program: string): Promise<(step: string, video?: string) => Promise<unknown>> {
  await copyFile(join(PROGRAMS, program), join(dir, program))
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--allowImportingTsExtensions']
  const target = ['--target', 'esnext', '--module', 'esnext', '--moduleResolution', 'bundler']
  const types = [
    '--types',
    'node',
    '--typeRoots',
    fileURLToPath(new URL('../../node_modules/@types', import.meta.url)),
  ]
  await runNode(inNode('typescript/bin/tsc'), [...options, ...target, ...types, program])
  return async (step, video = '') => {
    const env = { BASE_URL: api.url, KEY: api.key, STEP: step, VIDEO: video }
    return JSON.parse((await runNode(program, [], env)).stdout)
  }
}

let pools = 0
/** Finishes the oldest unfinished video, in a pool of its own: no job of an earlier one waits there. */
async function finishOne(): Promise<{ id: string; text: string }> {
  pools += 1
  await using worker = new HandWorker(api, { pool: `hand${pools}` })
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await worker.heartbeat([], { draining: true })
  const id = attempt.job.video
  return { id, text: `mp4 of ${id} ${attempt.claim}` }
}

const ID = expect.stringMatching(/^video_/)

test('what openapi-typescript makes type-checks and works: JSON, a form with a file, pages, errors, files', async () => {
  await runNode(inNode('openapi-typescript/bin/cli.js'), ['openapi.json', '-o', 'schema.d.ts'])
  const use = await checked('openapi-fetch.ts')
  expect(await use('submit')).toEqual({
    made: ID,
    withImage: [ID, 'i2v'],
    listed: [ID, ID],
    frames: 5,
    pollMs: expect.stringMatching(/^\d+$/),
    refused: 'not_found',
  })
  const { id, text } = await finishOne()
  expect(await use('download', id)).toEqual({ bytes: text, part: 'mp4', status: 206 })
})

test('what @hey-api/openapi-ts makes type-checks and works: calls, files, and the events as they come', async () => {
  const config = {
    input: 'openapi.json',
    output: { path: 'hey', module: { extension: '.ts' } },
    plugins: ['@hey-api/client-fetch', '@hey-api/sdk', '@hey-api/typescript'],
  }
  await writeFile(join(dir, 'hey.config.js'), `export default ${JSON.stringify(config)}`)
  await runNode(inNode('@hey-api/openapi-ts/bin/run.js'), ['-f', 'hey.config.js', '--no-log-file'])
  const use = await checked('openapi-ts.ts')
  expect(await use('submit')).toEqual({
    made: ID,
    listed: [ID],
    hasMore: expect.any(Boolean),
    tier: 'flex',
    refused: 'video_id',
  })
  const { id, text } = await finishOne()
  expect(await use('download', id)).toEqual({ bytes: text, events: ['completed'] })
})

test('what openapi-python-client makes has every call, and works: JSON, a form with a file, pages, errors, files', async () => {
  await writeFile(
    join(dir, 'python-client.yaml'),
    [
      'project_name_override: sluice',
      'package_name_override: sluice',
      'post_hooks: []',
      'content_type_overrides:',
      ...['video/mp4', 'image/webp', 'image/jpeg'].map((type) => `  ${type}: application/octet-stream`),
      '  text/event-stream: text/plain',
    ].join('\n'),
  )
  const generate = ['generate', '--path', 'openapi.json', '--config', 'python-client.yaml', '--meta', 'none']
  const said = await runIn(join(python.bin, 'openapi-python-client'), [
    ...generate,
    '--output-path',
    'sluice',
  ])
  // It names what it cannot read, and leaves the call out.
  expect(`${said.stdout}${said.stderr}`).not.toMatch(/warning|unable|unsupported/i)
  const program = join(PROGRAMS, 'openapi_python_client.py')
  const use = async (step: string, what: string) => {
    const env = { BASE_URL: api.url, KEY: api.key, PYTHONPATH: dir }
    return JSON.parse((await runIn(python.python, [program, step, what], env)).stdout)
  }
  expect(await use('submit', join(dir, 'image.png'))).toEqual({
    made: ID,
    with_image: ['i2v', { shot: '13' }],
    listed: [ID, ID],
    read: ['queued', expect.any(Number), null, { shot: '12' }],
    refused: 'not_found',
  })
  const { id, text } = await finishOne()
  expect(await use('download', id)).toEqual([text, 206, 'mp4'])
})
