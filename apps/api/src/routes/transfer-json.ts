import { formatMicros } from '@sluice/shared/money'
import { z } from 'zod'
import { OWNED_KINDS, SYSTEM_KINDS } from '../ledger/accounts.ts'
import type { TransferRow } from '../ledger/list-transfers.ts'
import { unixSeconds } from './video-json.ts'

export const ledgerTransferSchema = z
  .object({
    id: z.string().meta({ example: 'txfr_01m84f0j8df20bh2fw7sqrp04k' }),
    object: z.literal('transfer'),
    kind: z.enum(['hold', 'settle', 'top_up', 'trial_grant', 'refund']),
    video_id: z.string().nullable(),
    amount: z
      .string()
      .meta({ description: 'By how much it changed what the account can spend.', example: '-0.08316' }),
    currency: z.string(),
    created_at: z.int(),
    entries: z
      .array(z.object({ account: z.enum([...OWNED_KINDS, ...SYSTEM_KINDS]), amount: z.string() }))
      .meta({ description: 'They sum to zero.' }),
  })
  .meta({ id: 'LedgerTransfer' })

/** A transfer with its entries. */
export function ledgerTransferJson(
  transfer: TransferRow,
  currency: string,
): z.input<typeof ledgerTransferSchema> {
  const spendable = transfer.entries
    .filter(({ account_kind }) => account_kind === 'customer' || account_kind === 'trial')
    .reduce((sum, entry) => sum + BigInt(entry.amount_micros), 0n)
  return {
    id: transfer.id,
    object: 'transfer',
    kind: transfer.kind,
    video_id: transfer.video_id,
    amount: formatMicros(spendable),
    currency,
    created_at: unixSeconds(transfer.created_at),
    entries: transfer.entries.map((entry) => ({
      account: entry.account_kind,
      amount: formatMicros(BigInt(entry.amount_micros)),
    })),
  }
}
