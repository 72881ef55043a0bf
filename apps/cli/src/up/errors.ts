/** `sluice up` cannot go on; `exitCode` is 1 for what is in the way, 2 for a setting that is wrong. */
export class UpError extends Error {
  override name = 'UpError'
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2) {
    super(message)
    this.exitCode = exitCode
  }
}
