/** What an operator can do that the audit records. */
export const AUDIT_ACTIONS = [
  'account.created',
  'account.changed',
  'account.credited',
  'account.refunded',
  'key.created',
  'key.changed',
  'key.revoked',
  'payment.credited',
  'payment.dismissed',
  'payment.waived',
  'price.set',
  'flex_prices.set',
  'queue_counts.repaired',
] as const
export type AuditAction = (typeof AUDIT_ACTIONS)[number]
