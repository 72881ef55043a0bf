/** The engine cannot be reached, or takes no work now. It says nothing about any video. */
export class EngineAwayError extends Error {
  override name = 'EngineAwayError'
  /** The same request may succeed within a minute. */
  readonly mayPass: boolean

  constructor(message: string, { mayPass }: { mayPass: boolean }) {
    super(message)
    this.mayPass = mayPass
  }
}
