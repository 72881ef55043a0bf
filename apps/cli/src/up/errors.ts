/** Something outside is in the way of `sluice up`, such as another one on its data dir. Exit code 1. */
export class UpError extends Error {
  override readonly name = 'UpError'
}
