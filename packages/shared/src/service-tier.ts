/** What a customer pays and how early a video is served, in the order in which the gate serves them. */
export const SERVICE_TIERS = ['priority', 'standard', 'flex'] as const
export type ServiceTier = (typeof SERVICE_TIERS)[number]
