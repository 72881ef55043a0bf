import type { Model } from '../model.ts'
import { OPEN_SORA_2 } from './open-sora.ts'

/** Takes the same requests as `open-sora-2`, and needs neither weights nor a GPU. */
export const ANIMATIC: Model = {
  ...OPEN_SORA_2,
  id: 'animatic',
  ownedBy: 'sluice',
  description:
    'An animated title card of the prompt. No model runs; real H.264 of the size and length asked for.',
  licence: { name: 'Apache-2.0', text: 'Apache-2.0', commercial: 'yes', forbiddenIn: [] },
}
