import type { PaceRow } from '@sluice/gate/pace'
import { divideRounded, ratio } from '@sluice/shared/economics/money-rates'
import { modelOfCapability } from '@sluice/shared/models/capability'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { findSize } from '@sluice/shared/models/sizes'
import { generatedTokens } from '@sluice/shared/token-count'

/** A pace with how many attempts it was measured of. */
export interface MeasuredPace extends PaceRow {
  samples: number
}

/** What a slot of a pool makes of one model and resolution class while it is busy, and what that costs. */
export interface ClassCost {
  model: string
  resolution: string
  tokensPerSecond: number | null
  /** What a million tokens cost there at full use; null when the pool's cost is not known. */
  costMicrosPerMillion: bigint | null
}

/** What the slots of a pool cost, all together. */
export interface SlotCost {
  slots: number
  /** Null = not all of it is known. */
  costPerHourMicros: bigint | null
}

const MS_PER_HOUR = 3_600_000n
const MILLION = 1_000_000n

/**
 * What a pool makes by model and class, by the pace that was measured there: of clips with the model's usual
 * number of steps, each shape as often as it was made. What was never made there is left out. Pure.
 */
export function classCosts(
  { slots, costPerHourMicros }: SlotCost,
  paces: readonly MeasuredPace[],
  catalogue: Catalogue,
): ClassCost[] {
  const sums = new Map<string, { model: string; resolution: string; ms: bigint; tokens: bigint }>()
  for (const pace of paces) {
    const model = catalogue.find(modelOfCapability(pace.capability))
    const resolution = model && findSize(model, `${pace.width}x${pace.height}`)?.resolution
    if (model === undefined || resolution === undefined) continue
    const steps = model.steps.default
    const tokens = generatedTokens(model.tokens, { ...pace, frames: pace.num_frames }, steps)
    const key = `${model.id} ${resolution}`
    const sum = sums.get(key) ?? { model: model.id, resolution, ms: 0n, tokens: 0n }
    sum.ms += BigInt(Math.round(pace.samples * (pace.overhead_ms + steps * pace.step_ms)))
    sum.tokens += BigInt(pace.samples) * tokens
    sums.set(key, sum)
  }
  return [...sums.values()]
    .sort((a, b) => (`${a.model} ${a.resolution}` < `${b.model} ${b.resolution}` ? -1 : 1))
    .map(({ model, resolution, ms, tokens }) => ({
      model,
      resolution,
      tokensPerSecond: ratio(tokens * 1_000n, ms),
      costMicrosPerMillion:
        costPerHourMicros === null || slots === 0 || tokens === 0n
          ? null
          : divideRounded(costPerHourMicros * ms * MILLION, BigInt(slots) * MS_PER_HOUR * tokens),
    }))
}
