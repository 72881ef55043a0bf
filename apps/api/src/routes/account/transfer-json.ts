import { unixSeconds } from '@sluice/shared/clock'
import { formatMicros } from '@sluice/shared/money'
import { z } from 'zod'
import { pageOfRows, pageSchema, requireCursorOf } from '../../http/pages.ts'
import { OWNED_KINDS, SYSTEM_KINDS } from '../../ledger/accounts.ts'
import { listTransfers, type TransferRow } from '../../ledger/list-transfers.ts'
import type { Services } from '../../services.ts'

const transferSchema = z
  .object({
    id: z.string().meta({ example: 'txfr_01m84f0j8df20bh2fw7sqrp04k' }),
    object: z.literal('transfer'),
    kind: z.enum([
      'hold',
      'settle',
      'rebate',
      'top_up',
      'trial_grant',
      'refund',
      'expiry',
      'reversal',
      'reinstatement',
    ]),
    video_id: z.string().nullable(),
    amount: z
      .string()
      .meta({ description: 'By how much it changed what the account can spend.', example: '-0.08316' }),
    currency: z.string(),
    created_at: z.int(),
    entries: z
      .array(
        z.object({
          account: z.enum([...OWNED_KINDS, ...SYSTEM_KINDS]),
          credit_id: z
            .string()
            .optional()
            .meta({ description: 'The credit with an expiry date, where it is of one.' }),
          amount: z.string(),
        }),
      )
      .meta({ description: 'They sum to zero.' }),
  })
  .meta({ id: 'LedgerTransfer' })

export const transferPageAnswers = {
  200: { description: 'One page, newest first.', schema: pageSchema(transferSchema, 'LedgerTransferList') },
}

/** A page of the transfers of an account. Throws SluiceError `not_found` for a malformed `after`. */
export async function transferPage(
  { config, db }: Services,
  accountId: string,
  { after, limit }: { after?: string | undefined; limit: number },
) {
  const { currency } = config
  requireCursorOf('txfr', after)
  const rows = await listTransfers(db, { accountId, currency }, { after, limit })
  return pageOfRows(rows, limit, (row) => transferJson(row, currency))
}

/** A transfer with its entries. */
function transferJson(transfer: TransferRow, currency: string): z.input<typeof transferSchema> {
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
      ...(entry.credit_id === null ? {} : { credit_id: entry.credit_id }),
      amount: formatMicros(BigInt(entry.amount_micros)),
    })),
  }
}
