import { expect, test } from 'vitest'
import { faultPlace, isInSettings } from './fault.ts'

const placeOf = (param: string | null, hasModelField = true) =>
  faultPlace({ param, message: 'x' }, { hasModelField })

test('a fault is shown beside its field, and below the form when no field is at fault', () => {
  expect(
    ['prompt', 'input_reference', 'size', 'seconds', 'num_frames', 'num_steps'].map((param) =>
      placeOf(param),
    ),
  ).toEqual(['prompt', 'image', 'size', 'frames', 'frames', 'steps'])
  expect([placeOf(null), placeOf('metadata'), placeOf('constructor')]).toEqual(['form', 'form', 'form'])
})

test('a fault of the model is shown below the form while there is no model to choose', () => {
  expect([placeOf('model', true), placeOf('model', false)]).toEqual(['model', 'form'])
})

test('a fault in the settings opens them, any other does not', () => {
  expect((['model', 'frames', 'steps', 'seed'] as const).every(isInSettings)).toBe(true)
  expect((['prompt', 'image', 'size', 'form'] as const).some(isInSettings)).toBe(false)
})
