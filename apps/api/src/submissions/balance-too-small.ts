import { formatMicros } from '@sluice/shared/money'
import { SluiceError } from '../errors.ts'

/** The error for a video that costs more than its account has. */
export function balanceTooSmall(
  neededMicros: bigint,
  availableMicros: bigint,
  currency: string,
): SluiceError {
  const [needed, available] = [formatMicros(neededMicros), formatMicros(availableMicros)]
  return new SluiceError(
    'insufficient_balance',
    `This video costs ${needed} ${currency}, the balance is ${available} ${currency}.`,
  )
}
