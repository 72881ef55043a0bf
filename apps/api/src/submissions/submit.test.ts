import { pino } from 'pino'
import { expect, test } from 'vitest'
import { CONNECTIONS_MIN, openDatabases } from '../db/databases.ts'
import { groupsMaxOf } from './submit.ts'

test('however few connections are allowed, half of those for requests wait for no account that is held up', async () => {
  for (let connectionsMax = CONNECTIONS_MIN; connectionsMax <= 60; connectionsMax += 1) {
    const databases = openDatabases({ url: 'postgresql://127.0.0.1/none', connectionsMax }, pino())
    const { max: connections = 0 } = databases.requests.options
    await databases.close()
    const { apart, patient } = groupsMaxOf(connections)
    expect(Math.min(apart, patient)).toBeGreaterThan(0)
    expect(apart + patient, `${connectionsMax}`).toBeLessThanOrEqual(connections / 2)
  }
})
