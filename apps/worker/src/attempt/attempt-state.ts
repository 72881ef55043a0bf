import type { Followers } from '../state-machine.ts'

/** Where an attempt stands; the README shows the states as a drawing. */
export type AttemptState = 'taking' | 'fetching' | 'waiting' | 'starting' | 'running' | 'uploading' | 'over'

export const ATTEMPT_FOLLOWERS: Followers<AttemptState> = {
  /** Reports `taken`; until the API has bound the claim, no heartbeat names the attempt. */
  taking: ['fetching', 'over'],
  /** Gets the input image and the checkpoint. */
  fetching: ['waiting', 'over'],
  /** May be generated as soon as the device is free. */
  waiting: ['starting', 'over'],
  /** The runner was asked to generate and has not said `started`; it may stop without ever saying so. */
  starting: ['running', 'uploading', 'over'],
  running: ['uploading', 'over'],
  /** The device is free; files are checked and stored. */
  uploading: ['over'],
  over: [],
}
