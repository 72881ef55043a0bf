import type { ServiceTier } from '@sluice/shared/service-tier'

/** How long videos may wait: this share of each tier no longer than its bound, and none may expire. */
export interface WaitBound {
  share: 0.9 | 0.99
  waitMsMax: Readonly<Record<ServiceTier, number>>
}

/** Nobody waits, but for one in a hundred, who waits a second. */
export const AT_ONCE: WaitBound = {
  share: 0.99,
  waitMsMax: { priority: 1_000, standard: 1_000, flex: 1_000 },
}
