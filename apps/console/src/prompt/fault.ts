/** What is wrong with a submission: found by the page itself or answered by the API. */
export interface Fault {
  /** The request field at fault, or null. */
  param: string | null
  message: string
}

/** Where on the form a fault is shown. */
export type FaultPlace =
  | 'prompt'
  | 'image'
  | 'size'
  | 'model'
  | 'frames'
  | 'steps'
  | 'guidance'
  | 'seed'
  | 'form'

const PLACE_BY_PARAM = new Map<string | null, FaultPlace>([
  ['prompt', 'prompt'],
  ['input_reference', 'image'],
  ['size', 'size'],
  ['model', 'model'],
  ['num_frames', 'frames'],
  ['seconds', 'frames'],
  ['num_steps', 'steps'],
  ['guidance', 'guidance'],
  ['seed', 'seed'],
])

/** The place of a fault: beside its field, or below the form when it is about no field that is shown. */
export function faultPlace(fault: Fault, shown: { hasModelField: boolean }): FaultPlace {
  const place = PLACE_BY_PARAM.get(fault.param) ?? 'form'
  return place === 'model' && !shown.hasModelField ? 'form' : place
}

/** True for the places in the settings panel, which is usually closed. */
export function isInSettings(place: FaultPlace): boolean {
  return ['model', 'frames', 'steps', 'guidance', 'seed'].includes(place)
}
