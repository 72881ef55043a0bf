/** Kinds whose balance is a stored row, each belonging to one tenant. */
export const OWNED_KINDS = ['customer', 'trial', 'hold'] as const
/** Kinds of the installation as a whole; their balance is the sum of their entries. */
export const SYSTEM_KINDS = ['revenue', 'funding', 'promotion'] as const
export type OwnedKind = (typeof OWNED_KINDS)[number]
export type SystemKind = (typeof SYSTEM_KINDS)[number]

export type TransferKind = 'hold' | 'settle' | 'top_up' | 'trial_grant' | 'refund'
