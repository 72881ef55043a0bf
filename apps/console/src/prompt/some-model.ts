import type { PublicModel } from '@sluice/shared/public-model'

/** A model for tests, as `GET /v1/models` tells it: 24 frames a second, 4k+1 frames, two classes. */
export function someModel(id: string, fields: Partial<PublicModel> = {}): PublicModel {
  return {
    id,
    object: 'model',
    created: 0,
    owned_by: 'test',
    description: id,
    licence: 'none',
    licence_terms: { name: 'none', commercial: 'yes', forbidden_in: [] },
    base: null,
    is_default: false,
    is_available: true,
    modes: ['t2v', 'i2v'],
    i2v_conditions: ['head'],
    sizes: [],
    size_rule: null,
    resolutions: [
      resolution('small', ['336x192', '192x336', '256x256', '288x224', '224x288', '304x208', '384x160']),
      resolution('large', ['1024x576', '576x1024', '992x592', '768x768', '880x656', '1184x496', '496x1184']),
    ],
    openai_sizes: {},
    frames: { min: 1, max: 129, fps: 24, multiple: 4, remainder: 1, default: 129 },
    seconds: { min: '', max: '', default: '' },
    steps: { min: 1, max: 100, default: 50 },
    guidance: { min: 0, max: 30, default: 7.5 },
    guidance_img: null,
    motion_score: null,
    negative_prompt: true,
    sound: false,
    tokens: { temporal: 4, spatial: 8, patch: [1, 2, 2] },
    ...fields,
  }
}

/** A resolution class with these sizes. */
export function resolution(name: string, sizes: string[]): PublicModel['resolutions'][number] {
  return { name, sizes, pixels_min: null, pixels_max: null, price: null }
}
