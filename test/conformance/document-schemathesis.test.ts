import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askServer } from '../support/ask-servers.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

/** A fresh machine downloads the packages first. */
const INSTALL_MS = 300_000
/** A quarter of it on a machine that has nothing else to do. */
const RUN_MS_MAX = 180_000
/** The same draw each time: a fault that it found is found again. */
const SEED = 154_647_400

let api: TestApi
let bin: string
let dir: string

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-test-schemathesis-'))
  api = await startTestApi({
    webhookAllowHosts: new Set(['127.0.0.1']),
    // It tries every call without a key, as fast as it can.
    bounds: { strangerRequestsPerSecond: 1_000_000, refusalPauseMs: 1 },
  })
  bin = (await askServer('pythonOpenApi')).bin
}, INSTALL_MS)
afterAll(async () => {
  await api?.stop()
  await rm(dir, { recursive: true, force: true })
})

/** What may be left out may be null, and in a form empty, as the document says in words alone. */
const HOOKS = `
import schemathesis

@schemathesis.hook
def filter_case(context, case):
    given = list(case.body.values()) if isinstance(case.body, dict) else []
    return not (None in given or case.media_type == "multipart/form-data" and "" in given)
`

/**
 * Every check there is. What a schema allows may still be refused with a 400: no schema knows which models
 * there are, or which hosts are public.
 */
const configOf = (key: string, adminKey: string, ids: Record<string, string>) => `
seed = ${SEED}
request-timeout = 10
hooks = "hooks.py"
color = false
max-stream-events = 1
continue-on-failure = true
suppress-health-check = ["all"]
headers = { Authorization = "Bearer ${key}" }

[generation]
max-examples = 5
allow-x00 = false
no-shrink = true

[phases.coverage]
unexpected-methods = ["PUT"]

[phases.stateful]
enabled = false

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "302", "400", "401", "402", "403", "404", "409", "429"]

[[operations]]
include-tag = "admin"
headers = { Authorization = "Bearer ${adminKey}" }

[[operations]]
include-operation-id = "readMetrics"
headers = { Authorization = "Bearer ${adminKey}" }

[[operations]]
# It holds each event against the schema of the whole stream, which is text.
include-operation-id = "videoEvents"
checks.response_schema_conformance.enabled = false

${Object.entries(ids)
  .map(
    ([operation, id]) => `[[operations]]
include-operation-id = "${operation}"
parameters = { "path.id" = "${id}" }
`,
  )
  .join('\n')}`

/** Calls with something of their own to answer of, so that more than their 404 is looked at. */
async function idsOfThings(worker: HandWorker): Promise<Record<string, string>> {
  const { id: video } = (await api.call('POST', '/v1/videos', { prompt: 'a paper boat', num_frames: 5 })).body
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  const url = 'http://127.0.0.1:9/'
  const { id: endpoint } = (await api.call('POST', '/v1/webhook_endpoints', { url })).body
  const admin = (path: string, body?: object) =>
    api.call('POST', `/v1/admin/${path}`, body ?? {}, { key: api.adminKey })
  const { id: account } = (await admin('accounts', { name: 'a studio' })).body
  const { id: key } = (await admin(`accounts/${account}/keys`)).body
  return {
    ...Object.fromEntries(
      ['retrieveVideo', 'videoContent', 'videoContentHead', 'remixVideo', 'readAdminVideo'].map((name) => [
        name,
        video,
      ]),
    ),
    ...Object.fromEntries(
      ['readWebhookEndpoint', 'updateWebhookEndpoint', 'listWebhookEndpointDeliveries'].map((name) => [
        name,
        endpoint,
      ]),
    ),
    ...Object.fromEntries(
      ['changeAccount', 'creditAccount', 'createAccountKey', 'readAccountLedger'].map((name) => [
        name,
        account,
      ]),
    ),
    readAdminKey: key,
    changeKey: key,
  }
}

test(
  'schemathesis finds no answer that the document does not describe, no 5xx, and nothing accepted that it forbids',
  async () => {
    await using worker = new HandWorker(api)
    await worker.heartbeat()
    const ids = await idsOfThings(worker)
    await writeFile(join(dir, 'hooks.py'), HOOKS)
    await writeFile(join(dir, 'schemathesis.toml'), configOf(api.key, api.adminKey, ids))
    // One worker: two threads that parse at once can end Python 3.11 (python/cpython#106905).
    const args = ['--config-file', 'schemathesis.toml', 'run', `${api.url}/openapi.json`, '--workers', '1']
    const said = await new Promise<{ code: number; text: string }>((resolve) => {
      execFile(
        join(bin, 'schemathesis'),
        args,
        {
          cwd: dir,
          env: { PATH: process.env.PATH },
          maxBuffer: 64 * 1024 * 1024,
          // Before the test is given up, so that its output is seen and nothing is left running.
          timeout: RUN_MS_MAX - 10_000,
          killSignal: 'SIGKILL',
        },
        (error, stdout, stderr) => resolve({ code: error === null ? 0 : 1, text: `${stdout}\n${stderr}` }),
      )
    })
    expect(said.code, said.text.slice(-20_000)).toBe(0)
  },
  RUN_MS_MAX,
)
