import type { TokenRule } from './models/token-rule.ts'

/** Width and height in pixels. */
export interface TokenClip {
  width: number
  height: number
  frames: number
}

/**
 * The tokens that a model's transformer denoises in one step of a clip: latent frames, rows and columns by
 * patches, each rounded up. Throws RangeError unless all three are whole numbers above 0.
 */
export function videoTokens({ temporal, spatial, patch }: TokenRule, clip: TokenClip): bigint {
  for (const [side, value] of Object.entries({
    frames: clip.frames,
    width: clip.width,
    height: clip.height,
  })) {
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(`${side} must be a whole number above 0, got ${value}`)
  }
  const [byTime, byHeight, byWidth] = patch
  const latentFrames = 1 + Math.ceil((clip.frames - 1) / temporal)
  return (
    BigInt(Math.ceil(latentFrames / byTime)) *
    BigInt(Math.ceil(clip.height / (spatial * byHeight))) *
    BigInt(Math.ceil(clip.width / (spatial * byWidth)))
  )
}

/** Video tokens times denoising steps: the work of the GPU, and what is charged. */
export function generatedTokens(rule: TokenRule, clip: TokenClip, steps: number): bigint {
  return videoTokens(rule, clip) * BigInt(steps)
}
