/** Something outside is in the way of `sluice up`, such as a port that is taken. Exit code 1. */
export class UpError extends Error {
  override readonly name = 'UpError'
}
