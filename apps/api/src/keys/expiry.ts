import { type Clock, unixSeconds } from '@sluice/shared/clock'
import { invalidValue } from '../errors.ts'

/** Throws SluiceError when a key would be expired already; null and undefined are no expiry. */
export function requireExpiryToCome(clock: Clock, expiresAt: Date | null | undefined): void {
  if (expiresAt instanceof Date && expiresAt.getTime() <= clock.now()) {
    throw invalidValue(
      'expires_at',
      unixSeconds(expiresAt),
      'a time to come, in seconds since the Unix epoch',
    )
  }
}
