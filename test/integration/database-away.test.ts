import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { transaction } from '../../apps/api/src/db/database.ts'
import { openDatabases } from '../../apps/api/src/db/databases.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { callJson, startTestApi } from '../support/start-api.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const API_MAIN = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url))

const LIMITS = { lockMs: 300, statementMs: 500, answerMs: 800, connectMs: 500 }

test('rows that somebody holds make submissions of that account a 503 with Retry-After, and of no other', async () => {
  await using api = await startTestApi()
  const replica = await api.replica({
    database: { url: api.config.database.url, connectionsMax: 10, limits: LIMITS },
  })
  const other = await api.account(1_000_000n)
  const holder = new pg.Client({ connectionString: api.database.databaseUrl })
  await holder.connect()
  const submit = (key: string) =>
    callJson(replica.url, key, 'POST', '/v1/videos', { prompt: 'x', num_frames: 5 })
  try {
    await holder.query('begin')
    await holder.query(
      `select from ledger_account where account_id <> $1 and account_id is not null for update`,
      [other.accountId],
    )
    const held = await Promise.all(Array.from({ length: 12 }, () => submit(api.key)))
    for (const answer of held) {
      expect(answer).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } })
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    expect((await submit(other.key)).status).toBe(200)
    await using worker = new HandWorker({ ...api, url: replica.url })
    await worker.heartbeat()
  } finally {
    await holder.end()
  }
  expect((await submit(api.key)).status).toBe(200)
})

test('a database that is away is a 503, one line when that begins and one when it is over, and no stack', async () => {
  await using api = await startTestApi()
  await api.api.stop()
  await using proxy = await startTcpProxy(api.database.databaseUrl)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const program = spawn(process.execPath, [API_MAIN], {
    env: {
      PATH: process.env.PATH ?? '',
      PORT: String(port),
      SLUICE_DATABASE_URL: proxy.url,
      SLUICE_DATA_DIR: api.dataDir,
      SLUICE_LOG: 'info',
      ...(api.config.queue.backend === 'redis' ? { REDIS_URL: api.config.queue.url } : {}),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  program.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const hasSaid = (text: string) =>
    eventually(
      async () => said,
      (all) => all.includes(text),
    )
  try {
    await hasSaid('leads the gate')
    said = ''
    proxy.refuseNew()
    for (const connection of proxy.connections()) connection.cut()
    for (const path of ['/v1/videos', '/v1/key', '/v1/videos']) {
      const answer = await callJson(url, api.key, 'GET', path)
      expect(answer).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } })
      expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
    }
    proxy.acceptAgain()
    await eventually(
      () => callJson(url, api.key, 'GET', '/v1/videos'),
      ({ status }) => status === 200,
    )
    await hasSaid('the database works again')
    const lines = said
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.filter(({ part }) => part === 'database').map(({ msg }) => msg)).toEqual([
      'the database cannot be used',
      'the database works again',
    ])
    expect(said).not.toMatch(/"stack":"[^"]*(apps\/api\/src\/db|pg-pool)/)
  } finally {
    const exited = once(program, 'exit')
    program.kill('SIGKILL')
    await exited
    for (const connection of proxy.connections()) connection.cut()
  }
})

test('what the database cannot do at this moment is told apart from what is wrong with a statement', async () => {
  await using api = await startTestApi()
  const databases = openDatabases(
    { url: api.config.database.url, connectionsMax: 6, limits: LIMITS },
    pino({ level: 'silent' }),
  )
  const { requests: db } = databases
  const failing = (text: string) =>
    db.query({ text }).then(
      () => 'fine',
      (error) => error.code,
    )
  try {
    expect(await failing('select pg_sleep(5)')).toBe('unavailable')
    expect(await failing('select 1 / 0')).toBe('22012')
    const raised = (code: string) =>
      failing(`do $$ begin raise exception 'x' using errcode = '${code}'; end $$`)
    for (const code of ['53100', '53300', '57P01', '57P03', '25006', '40001', '40P01', '55P03', '08006'])
      expect(await raised(code), code).toBe('unavailable')
    expect(await raised('23505')).toBe('23505')
    const taken = await Promise.all(Array.from({ length: db.options.max ?? 0 }, () => db.connect()))
    expect(await failing('select 1')).toBe('unavailable')
    for (const client of taken) client.release()
    const slow = transaction(db, (tx) => tx.query({ text: 'select pg_sleep(0.7)' }), { limitMs: 5_000 })
    await expect(slow).resolves.toMatchObject({ rowCount: 1 })
  } finally {
    await databases.close()
  }
})
