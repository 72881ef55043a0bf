import type { Installation } from '../machine/installation.ts'
import { Client } from './client.ts'

/** A few tenants beside the first account. */
const TENANTS = [
  { name: 'studio', weight: 100 },
  { name: 'agency', weight: 300 },
] as const

/** Opens the accounts of a campaign, with money for every video, and returns a client for each by name. */
export async function openAccounts({
  origin,
  key,
  adminKey,
}: Installation): Promise<ReadonlyMap<string, Client>> {
  const admin = new Client(origin, adminKey)
  const clients = new Map([['first', new Client(origin, key)]])
  for (const { name, weight } of TENANTS) {
    const account = await admin.call('POST', '/v1/admin/accounts', { body: { name, weight, promises: true } })
    const path = `/v1/admin/accounts/${account.body.id}`
    await admin.call('POST', `${path}/credit`, {
      body: { amount: '100000', idempotency_key: `chaos ${name}` },
    })
    const made = await admin.call('POST', `${path}/keys`, { body: {} })
    clients.set(name, new Client(origin, made.body.key))
  }
  return clients
}
