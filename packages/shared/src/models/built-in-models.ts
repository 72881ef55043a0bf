import { ANIMATIC } from './built-in/animatic.ts'
import { COGVIDEOX_5B } from './built-in/cogvideox.ts'
import { HUNYUAN_VIDEO, HUNYUAN_VIDEO_I2V } from './built-in/hunyuan-video.ts'
import { LTX_VIDEO } from './built-in/ltx-video.ts'
import { MOCHI_1 } from './built-in/mochi.ts'
import { OPEN_SORA_2, OPEN_SORA_2_FAST } from './built-in/open-sora.ts'
import { WAN_2_1_1_3B, WAN_2_2_5B } from './built-in/wan.ts'
import type { Model } from './model.ts'

/** The models of a service without a catalogue file. */
export const FIRST_MODELS: readonly Model[] = [OPEN_SORA_2, ANIMATIC]

/** All that are described here. Those beyond FIRST_MODELS are offered once the catalogue names them. */
export const BUILT_IN_MODELS: readonly Model[] = [
  ...FIRST_MODELS,
  OPEN_SORA_2_FAST,
  WAN_2_2_5B,
  WAN_2_1_1_3B,
  LTX_VIDEO,
  HUNYUAN_VIDEO,
  HUNYUAN_VIDEO_I2V,
  COGVIDEOX_5B,
  MOCHI_1,
]

/** The built-in model with that id, or undefined. */
export function findBuiltIn(id: string): Model | undefined {
  return BUILT_IN_MODELS.find((model) => model.id === id)
}
