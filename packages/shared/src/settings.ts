/** The environment variables of a program. */
export type Environment = Readonly<Record<string, string | undefined>>

/**
 * A setting that is missing or not allowed. The message names the setting, what was given and what is
 * allowed. Programs print it and exit with 2.
 */
export class SettingError extends Error {
  override readonly name = 'SettingError'
  readonly setting: string
  readonly given: string | undefined
  readonly allowed: string

  constructor(setting: string, given: string | undefined, allowed: string) {
    super(
      given === undefined
        ? `${setting} is not set: ${allowed}`
        : `${setting} is ${JSON.stringify(given)}: ${allowed}`,
    )
    this.setting = setting
    this.given = given
    this.allowed = allowed
  }
}

/** Several settings at fault, in one message, so that they can be corrected at once. */
export class SettingErrors extends Error {
  override readonly name = 'SettingErrors'
  readonly errors: readonly SettingError[]

  constructor(errors: readonly SettingError[]) {
    super(errors.map((error) => error.message).join('\n'))
    this.errors = errors
  }
}

/**
 * Runs every reader and returns their values. Throws one `SettingErrors` that names every setting at fault.
 */
export function readSettings<T extends Record<string, () => unknown>>(
  readers: T,
): { [K in keyof T]: ReturnType<T[K]> } {
  const values: Record<string, unknown> = {}
  const errors: SettingError[] = []
  for (const [name, read] of Object.entries(readers)) {
    try {
      values[name] = read()
    } catch (error) {
      if (error instanceof SettingErrors) errors.push(...error.errors)
      else if (error instanceof SettingError) errors.push(error)
      else throw error
    }
  }
  if (errors.length > 0) throw new SettingErrors(errors)
  return values as { [K in keyof T]: ReturnType<T[K]> }
}

/**
 * The value without surrounding spaces, or undefined when it is unset or blank: compose files pass unset
 * variables as empty text.
 */
export function optionalSetting(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim()
  return value === undefined || value === '' ? undefined : value
}

/** The value. Throws SettingError when it is unset or blank; `hint` says what it should be. */
export function requiredSetting(env: Environment, name: string, hint: string): string {
  const value = optionalSetting(env, name)
  if (value === undefined) throw new SettingError(name, undefined, hint)
  return value
}

/** A whole number within the bounds, or `fallback` when unset. Throws SettingError. */
export function integerSetting(
  env: Environment,
  name: string,
  fallback: number,
  bounds: { min: number; max: number },
): number {
  const text = optionalSetting(env, name)
  if (text === undefined) return fallback
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || value < bounds.min || value > bounds.max) {
    throw new SettingError(name, text, `allowed is a whole number from ${bounds.min} to ${bounds.max}`)
  }
  return value
}

/** One of the words, or `fallback` when unset. Throws SettingError. */
export function choiceSetting<const W extends readonly string[]>(
  env: Environment,
  name: string,
  fallback: W[number],
  words: W,
): W[number] {
  const text = optionalSetting(env, name)
  if (text === undefined) return fallback
  const word = words.find((candidate) => candidate === text)
  if (word === undefined) throw new SettingError(name, text, `allowed is ${words.join(', ')}`)
  return word
}

/** `true`/`1`/`yes` or `false`/`0`/`no`, or `fallback` when unset. Throws SettingError. */
export function booleanSetting(env: Environment, name: string, fallback: boolean): boolean {
  const text = optionalSetting(env, name)?.toLowerCase()
  if (text === undefined) return fallback
  if (['true', '1', 'yes'].includes(text)) return true
  if (['false', '0', 'no'].includes(text)) return false
  throw new SettingError(name, text, 'allowed is true or false')
}

/**
 * A URL whose scheme is one of `schemes` (`['http', 'https']`), or undefined when unset. Throws SettingError,
 * which never shows the URL: it may hold a password.
 */
export function urlSetting(env: Environment, name: string, schemes: readonly string[]): string | undefined {
  const text = optionalSetting(env, name)
  if (text === undefined) return undefined
  const scheme = URL.canParse(text) ? new URL(text).protocol.slice(0, -1) : undefined
  if (scheme === undefined || !schemes.includes(scheme)) {
    throw new SettingError(
      name,
      scheme === undefined ? '(not a URL)' : `${scheme}:...`,
      `allowed is a URL that starts with ${schemes.join(':// or ')}://`,
    )
  }
  return text
}
