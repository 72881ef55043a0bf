/**
 * The latent positions that the diffusion transformer denoises in one step.
 * T * ceil(H/16) * ceil(W/16) with T = (frames-1)/4 + 1: the VAE compresses 4x8x8 and the model patches 2x2
 * (Open-Sora 2.0, commit d0cd5ac). Width and height are in pixels. Throws RangeError when frames are not
 * 4k+1.
 */
export function videoTokens(clip: { width: number; height: number; frames: number }): bigint {
  if (!Number.isInteger(clip.frames) || clip.frames < 1 || (clip.frames - 1) % 4 !== 0) {
    throw new RangeError(`frames must be 4k+1, got ${clip.frames}`)
  }
  const latentFrames = BigInt((clip.frames - 1) / 4 + 1)
  return latentFrames * BigInt(Math.ceil(clip.height / 16)) * BigInt(Math.ceil(clip.width / 16))
}

/** Video tokens times denoising steps: the work of the GPU, and what is charged. */
export function generatedTokens(
  clip: { width: number; height: number; frames: number },
  steps: number,
): bigint {
  return videoTokens(clip) * BigInt(steps)
}
