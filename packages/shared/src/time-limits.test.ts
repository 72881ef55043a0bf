import { expect, test } from 'vitest'
import { HEARTBEAT_MS } from './attempt-contract.ts'
import { SIGNED_URL_MS, TIME_LIMITS } from './time-limits.ts'

/** A single fault is found and mended within this long. */
const FAULT_MS_MAX = 25_000
/** After this long `sluice up` kills an API that was asked to stop, and load balancers close what is idle. */
const API_KILLED_MS = 4_000
const BALANCER_IDLE_MS = 60_000

const { api, apiStop, client, database, queue, recovery, store, transfer, workerReport } = TIME_LIMITS

test('who waits for another waits longer than the other may take', () => {
  const pairs = {
    'a statement, by us and by the server': [database.answerMs, database.statementMs],
    'a statement and the row it waits for': [database.statementMs, database.lockMs],
    'the answer to a report and the store that is asked for it': [api.reportMs, workerReport.storeMs],
    'the answer to a group and the report that it waits for': [api.reportMs, workerReport.groupMs],
    'the next heartbeat and the answer to this one': [HEARTBEAT_MS, api.heartbeatMs],
    'a store’s answer and its first byte': [store.answerMs, 2 * store.firstByteMs],
    'one video’s recovery and one answer of the store': [recovery.videoMs, store.answerMs],
    'a fault and one video’s recovery': [FAULT_MS_MAX, recovery.videoMs],
    'a fault and a fetch of the queue': [FAULT_MS_MAX, queue.fetchMs],
    'a signed URL and the transfers that it is for': [SIGNED_URL_MS, 2 * transfer.wholeMs],
    'an idle connection of ours and of a load balancer': [client.keepAliveMs, BALANCER_IDLE_MS],
  } as const
  const wrong = Object.entries(pairs).filter(([, [longer, shorter]]) => longer <= shorter)
  expect(wrong).toEqual([])
})

test('a stop of the API is over before it is killed', () => {
  const { requestsMs, partMs, closeMs } = apiStop
  expect(Math.max(requestsMs, partMs) + closeMs).toBeLessThan(API_KILLED_MS)
})
