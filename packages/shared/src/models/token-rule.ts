/**
 * How a model's clip becomes tokens: its VAE compresses `temporal` frames and `spatial` x `spatial` pixels
 * into one latent position (the first frame into one of its own), and its transformer takes `patch` of them
 * (by time, height and width) as one token.
 */
export interface TokenRule {
  temporal: number
  spatial: number
  patch: readonly [number, number, number]
}
