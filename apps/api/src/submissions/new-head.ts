import { capabilityOf } from '@sluice/shared/models/capability'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { type Database, one } from '../db/database.ts'
import type { NewVideo } from '../forecast/forecaster.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { type CreateRequest, expiresSecondsOf } from './create-request.ts'
import type { SizedGeneration } from './generation-of.ts'

/** What of a key and its account the gate goes by, and what the account may ask for. */
export interface KeyStanding extends Pick<NewVideo, 'weight' | 'account_running_max' | 'key_running_max'> {
  /** Its videos may be promised a time. */
  promises: boolean
}

/** Reads where a key stands. */
export async function readStanding(db: Database, key: AccountKey): Promise<KeyStanding> {
  return one(
    await db.query<KeyStanding>({
      name: 'key-standing',
      text: `
        select a.weight, a.running_max as account_running_max, k.running_max as key_running_max, a.promises
        from api_key k join account a on a.id = k.account_id
        where k.id = $1`,
      values: [key.id],
    }),
  )
}

/** The video as the gate would see it at the head of its queue, were it submitted in this tier. */
export function newHead(parts: {
  key: AccountKey
  standing: KeyStanding
  request: CreateRequest
  tier: ServiceTier
  sized: SizedGeneration
  videoTokens: bigint
}): NewVideo {
  const { key, standing, request, tier, sized, videoTokens } = parts
  const { generation, resolution } = sized
  return {
    account_id: key.accountId,
    key_id: key.id,
    weight: standing.weight,
    account_running_max: standing.account_running_max,
    key_running_max: standing.key_running_max,
    service_tier: tier,
    model: generation.model,
    capability: capabilityOf(generation),
    resolution,
    width: generation.width,
    height: generation.height,
    num_frames: generation.num_frames,
    num_steps: generation.num_steps,
    video_tokens: videoTokens,
    expires_in_ms: expiresSecondsOf(request) * 1_000,
    multiplier_bps_max: null,
    not_before_in_ms: 0,
  }
}
