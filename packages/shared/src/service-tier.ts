/** What a customer may choose between speed and price; in the order in which the gate serves them. */
export const SERVICE_TIERS = ['priority', 'standard', 'flex'] as const
export type ServiceTier = (typeof SERVICE_TIERS)[number]
