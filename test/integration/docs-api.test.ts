import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ALL_ROUTES } from '../../apps/api/src/routes/all-routes.ts'
import { requireProgram } from '../support/debian-package.ts'
import { startTestApi } from '../support/start-api.ts'
import { HandWorker } from '../support/test-worker.ts'
import { startWebhookReceiver } from '../support/webhook-receiver.ts'

const page = await readFile(fileURLToPath(new URL('../../docs/api.md', import.meta.url)), 'utf8')
const headings = [...page.matchAll(/^### (\w+) (\S+)$/gm)].map(([, method, path]) => `${method} ${path}`)
const sections = page.split(/^### /m).map((text) => ({
  call: text.slice(0, text.indexOf('\n')),
  statuses: (/^Answers (\d+)(?: or (\d+))?:/m.exec(text) ?? []).slice(1).filter((status) => status !== undefined),
  blocks: Object.fromEntries([...text.matchAll(/^```(sh|js|python)\n([\s\S]*?)^```$/gm)].map(([, language, code]) => [language, code])),
}))

test('every call has a heading, in the order of the OpenAPI document, with curl, Node and Python', () => {
  const calls = ALL_ROUTES.filter((route) => route.scope !== 'worker').map((route) => `${route.method.toUpperCase()} ${route.path}`)
  expect(headings).toEqual(calls)
  for (const { call, blocks } of sections) expect(Object.keys(blocks), call).toEqual(['sh', 'js', 'python'])
})

test('every Node and Python block can be read by its language, one after another', async () => {
  const all = (language: string) => sections.map(({ blocks }) => blocks[language]).join('\n')
  const check = async (program: string, args: readonly string[], code: string) => {
    const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'], env: { PATH: process.env.PATH ?? '' } })
    let complaints = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text
    })
    child.stdin.end(code)
    const [exit] = await once(child, 'close')
    expect(exit, complaints).toBe(0)
  }
  await check(process.execPath, ['--check', '--input-type=module', '-'], all('js'))
  await check('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], all('python'))
})

test('every curl block runs as pasted, ends with 0 and is answered with the status that the page says', async () => {
  await requireProgram(['curl'], 'curl')
  await using api = await startTestApi({ leaseMs: 600_000, webhookAllowHosts: new Set(['127.0.0.1']) })
  await using receiver = await startWebhookReceiver()
  await using worker = new HandWorker(api)
  const dir = await mkdtemp(join(tmpdir(), 'sluice-test-docs-'))
  const env = { PATH: process.env.PATH ?? '', BASE_URL: `${api.url}/v1`, KEY: api.key, ADMIN_KEY: api.adminKey, HOOK: receiver.url }
  const shell = spawn('bash', ['-eu', '-o', 'pipefail'], { cwd: dir, env, stdio: ['pipe', 'pipe', 'pipe'] })
  let said = ''
  let saidSince: (() => void) | undefined
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
      saidSince?.()
    })
  }
  const ended = once(shell, 'close').then(([code]) => `exit ${code}`)
  /** Pastes a block and answers what the shell said once it is through. */
  const paste = async (block: string): Promise<string> => {
    said = ''
    shell.stdin.write(`${block}\necho "block over" >&2\n`)
    while (!said.includes('block over')) {
      const over = await Promise.race([ended, new Promise<null>((resolve) => (saidSince = () => resolve(null)))])
      if (over !== null) throw new Error(`${over} of ${block}\nafter ${said}`)
    }
    return said
  }
  try {
    // Each answer's status goes where the test reads it; everything else is curl as it is.
    await paste(`curl() { command curl -w '%{stderr}\\nstatus %{http_code}\\n' "$@"; }`)
    for (const { call, statuses, blocks } of sections) {
      if (call === 'GET /v1/videos/{id}/content') {
        await worker.heartbeat()
        const attempt = await worker.fetch()
        await attempt.report({ type: 'finished', result: await attempt.upload() })
        await worker.heartbeat([], { draining: true })
      }
      const answer = await paste(blocks.sh ?? '')
      const got = [...answer.matchAll(/^status (\d+)$/gm)].map((match) => match[1] ?? '')
      if (!headings.includes(call)) continue
      expect(got.length, `${call}: ${answer}`).toBeGreaterThan(0)
      for (const status of got) expect(statuses, `${call}: ${answer}`).toContain(status)
    }
    shell.stdin.end()
    expect(await ended).toBe('exit 0')
    expect(await readFile(join(dir, 'boat.mp4'), 'utf8')).toMatch(/^mp4 of video_/)
  } finally {
    shell.kill('SIGKILL')
    await rm(dir, { recursive: true, force: true })
  }
})
