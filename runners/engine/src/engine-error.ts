/** The engine cannot be reached, or takes no work now. It says nothing about any video. */
export class EngineAwayError extends Error {
  override name = 'EngineAwayError'
  /** The same request may succeed within a minute. */
  readonly mayPass: boolean
  /** It said that it did nothing. */
  readonly isRefusal: boolean

  constructor(message: string, { mayPass, isRefusal = false }: { mayPass: boolean; isRefusal?: boolean }) {
    super(message)
    this.mayPass = mayPass
    this.isRefusal = isRefusal
  }
}
