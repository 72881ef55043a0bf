import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../apps/cli/src/embedded-postgres/start-embedded-postgres.ts'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi } from '../support/start-api.ts'

/** Nothing but a commit that waits for it brings the log to the operating system within the test. */
const SETTINGS = { fsync: 'off', wal_writer_delay: '10s' }

async function kill(server: EmbeddedPostgres): Promise<void> {
  process.kill(server.pid, 'SIGKILL')
  await server.exited
}

test.each([
  { type: 'taken', slot: 0 },
  // Which comes first, should `taken` be lost.
  { type: 'started' },
] as const)(
  'what a worker was told it has taken is its own after a crash of PostgreSQL in the same moment, whichever report bound it ($type): no fence is given out twice',
  async (first) => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-test-crash-'))
    let server = await startEmbeddedPostgres({ dir, settings: SETTINGS })
    const { databaseUrl, queueUrl, adminUrl } = server
    const noDrop = async () => {}
    const database = {
      name: 'sluice',
      databaseUrl,
      queueUrl,
      adminUrl,
      drop: noDrop,
      [Symbol.asyncDispose]: noDrop,
    }
    try {
      await using api = await startTestApi({}, { database })
      await using worker = new HandWorker(api)
      await worker.heartbeat()
      const { body } = await api.call('POST', '/v1/videos', {
        prompt: 'a boat',
        num_frames: 5,
        num_steps: 10,
      })
      const attempt = await worker.fetch()
      expect(await attempt.report(first)).toMatchObject({ verdict: 'continue' })
      await kill(server)
      server = await startEmbeddedPostgres({ dir, settings: SETTINGS })
      expect(server.databaseUrl).toBe(databaseUrl)
      const client = new pg.Client(databaseUrl)
      await client.connect()
      const { rows } = await client
        .query('select fence, claim, worker_id from attempt where video_id = $1', [body.id])
        .finally(() => client.end())
      expect(rows).toEqual([{ fence: 1, claim: attempt.claim, worker_id: worker.id }])
      // Its work goes on as if nothing had been.
      await eventually(
        () => attempt.reportRaw({ type: 'started' }),
        ({ status, body: answer }) => status === 200 && answer.verdict === 'continue',
      )
      await attempt.report({ type: 'finished', result: await attempt.upload() })
      expect((await api.call('GET', `/v1/videos/${body.id}`)).body).toMatchObject({ status: 'completed' })
    } finally {
      await server.stop()
      await rm(dir, { recursive: true, force: true })
    }
  },
)
