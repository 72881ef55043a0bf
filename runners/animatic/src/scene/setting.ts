import type { Palette } from './palette.ts'
import type { TitleBlock } from './title-block.ts'

export const KINDS = ['lake', 'valley', 'sea'] as const
type Kind = (typeof KINDS)[number]

/** What stays the same over a clip; lengths and places in pixels. */
export interface Setting {
  /** The title and where it stands: the disc keeps clear of it. */
  title: TitleBlock
  width: number
  height: number
  /** The row where water begins; in a valley the lower edge of the frame. */
  horizon: number
  /** The row where the sky's last colour stands; in a valley the land reaches below it. */
  skyBase: number
  kind: Kind
  palette: Palette
  latent: Float64Array
  /** Where the disc stands, 0 to 1 across. */
  discX: number
  /** Which way the land drifts. */
  direction: 1 | -1
  /** Seconds of the scene in a second of the clip. */
  speed: number
}

/**
 * Where in the clip a frame stands: scene `seconds` since its start, and the `share` of the clip that is over
 * (0 to 1).
 */
interface Moment {
  seconds: number
  share: number
}

/** Paints one part of a frame, over what is there. */
export type Painter = (moment: Moment) => void

/** Seeds what the picture scatters from the latent itself, so that it is part of what the steps made. */
export function scatterSeed(latent: Float64Array): number {
  return Math.floor(((latent[0] ?? 0) + 2) * 100_000_000)
}
