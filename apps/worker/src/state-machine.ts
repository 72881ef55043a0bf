/** A state was entered that may not follow the one before it: a defect of this program. */
export class IllegalStateError extends Error {
  override name = 'IllegalStateError'
}

/** Says for each state which states may follow it; one without followers is the last. */
export type Followers<State extends string> = Readonly<Record<State, readonly State[]>>

/** One state and the one way to change it. */
export class StateMachine<State extends string> {
  readonly #owner: string
  readonly #followers: Followers<State>
  #current: State

  /** `owner` names in an error whose state it is. */
  constructor(owner: string, followers: Followers<State>, first: State) {
    this.#owner = owner
    this.#followers = followers
    this.#current = first
  }

  get current(): State {
    return this.#current
  }

  /** True when the current state is one of these. */
  is(...states: readonly State[]): boolean {
    return states.includes(this.#current)
  }

  /** Throws IllegalStateError unless `next` may follow the current state. */
  enter(next: State): void {
    const allowed = this.#followers[this.#current]
    if (!allowed.includes(next)) {
      const followers = allowed.length === 0 ? 'nothing' : allowed.join(', ')
      throw new IllegalStateError(
        `${this.#owner} cannot go from ${this.#current} to ${next}: allowed is ${followers}`,
      )
    }
    this.#current = next
  }
}
