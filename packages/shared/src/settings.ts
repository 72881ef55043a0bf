import { accessSync, constants, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { hostIn, isWildcard } from './own-address.ts'

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
 * A host to listen on, as URLs write it (`::1` for `[::1]`), or `fallback` when unset. Throws SettingError.
 */
export function hostSetting(env: Environment, name: string, fallback: string): string {
  const text = optionalSetting(env, name)
  if (text === undefined) return fallback
  const host = hostIn(text)
  if (host !== null) return host
  throw new SettingError(
    name,
    text,
    'allowed is an address such as 127.0.0.1, ::1 or 0.0.0.0, or a host name, without scheme, port and zone',
  )
}

/** A port, or `fallback` when unset. Throws SettingError. */
export function portSetting(env: Environment, name: string, fallback: number, min: 0 | 1): number {
  return integerSetting(env, name, fallback, { min, max: 65_535 })
}

/**
 * A URL whose scheme is one of `schemes` (`['http', 'https']`), or undefined when unset. Throws SettingError,
 * which never shows the URL: it may hold a password.
 */
export function urlSetting(env: Environment, name: string, schemes: readonly string[]): string | undefined {
  const text = optionalSetting(env, name)
  if (text === undefined) return undefined
  const fault = URL.canParse(text) ? faultOfUrl(new URL(text), schemes) : '(not a URL)'
  if (fault === null) return text
  throw new SettingError(name, fault, `allowed is a URL that starts with ${schemes.join(':// or ')}://`)
}

/** As `urlSetting` for http and https: without user name and password, which no HTTP client sends. */
export function httpUrlSetting(env: Environment, name: string): string | undefined {
  const text = urlSetting(env, name, ['http', 'https'])
  if (text === undefined) return undefined
  const { username, password } = new URL(text)
  if (username === '' && password === '') return text
  throw new SettingError(name, '(a URL with user name or password)', 'allowed is an http(s) URL without them')
}

/** As `httpUrlSetting`, for a URL that paths are added to; without its trailing slashes. */
export function baseUrlSetting(env: Environment, name: string): string | undefined {
  const text = httpUrlSetting(env, name)
  if (text === undefined) return undefined
  if (/[?#]/.test(text))
    throw new SettingError(
      name,
      '(a URL with ? or #)',
      'allowed is an http(s) URL that paths can be added to',
    )
  return text.replace(/\/+$/, '')
}

/**
 * The URL of a PostgreSQL database. One without a host names a socket with `?host=`. Throws SettingError,
 * which never shows the URL.
 */
export function databaseUrlSetting(env: Environment, name: string): string | undefined {
  const text = optionalSetting(env, name)
  if (text === undefined) return undefined
  const url = /^postgres(ql)?:\/\//.test(text) ? URL.parse(text.replace('@/', '@socket/')) : null
  if (url !== null && url.port !== '0' && isDecodable(url)) return text
  throw new SettingError(
    name,
    url === null ? '(not such a URL)' : '(a port or password that cannot be)',
    `allowed is postgres://user:password@host:5432/database; ${HOW_TO_WRITE_PASSWORDS}`,
  )
}

/** The URL of a Redis and its database number. Throws SettingError, which never shows the URL. */
export function redisUrlSetting(env: Environment, name: string): string | undefined {
  const text = urlSetting(env, name, ['redis', 'rediss'])
  if (text === undefined) return undefined
  const url = new URL(text)
  if (/^(\/\d{0,9})?$/.test(url.pathname) && url.hash === '' && isDecodable(url)) return text
  throw new SettingError(
    name,
    '(a path or password that cannot be)',
    `allowed is redis://user:password@host:6379/0, where 0 is the database; ${HOW_TO_WRITE_PASSWORDS}`,
  )
}

const HOW_TO_WRITE_PASSWORDS = 'characters such as / # ? @ % in a password are written as %2F %23 %3F %40 %25'

function faultOfUrl(url: URL, schemes: readonly string[]): string | null {
  const scheme = url.protocol.slice(0, -1)
  if (!schemes.includes(scheme)) return `${scheme}:...`
  const host = hostIn(url.hostname)
  if (host === null) return '(a URL without a host)'
  if (isWildcard(host)) return `(a URL with ${url.hostname}, an address to listen on that nobody can reach)`
  return url.port === '0' ? '(a URL with port 0)' : null
}

function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}

/**
 * A token or key that is sent in a header: printable ASCII without spaces, or undefined when unset.
 * `charsMin` is for secrets that operators choose. Throws SettingError, which never shows it.
 */
export function secretSetting(env: Environment, name: string, { charsMin = 1 } = {}): string | undefined {
  const secret = optionalSetting(env, name)
  if (secret === undefined) return undefined
  const fault = faultOfSecret(secret, charsMin)
  if (fault === null) return secret
  throw new SettingError(name, fault, `allowed are ${allowedSecret(charsMin)}`)
}

/** What is wrong with a secret, in words that do not show it; null when nothing is. */
export function faultOfSecret(secret: string, charsMin: number): string | null {
  if (!/^[\x21-\x7e]+$/.test(secret)) return '(text with spaces or other than ASCII)'
  return secret.length < charsMin ? `(${secret.length} characters)` : null
}

/** The secrets that `faultOfSecret` finds nothing wrong with. */
export function allowedSecret(charsMin: number): string {
  const how =
    charsMin === 1 ? '' : `at least ${charsMin} random characters, as "openssl rand -hex 24" makes them: `
  return `${how}ASCII without spaces`
}

/** Of the secrets that an operator may choose. 32 characters are 128 bits even in hexadecimal. */
export const SECRET_CHARS_MIN = 32
/** Random text of 32 characters has about twenty different ones. */
const DIFFERENT_CHARS_MIN = 8

/** True for a secret that can be guessed: a placeholder, or the same few characters again and again. */
export function isGuessable(secret: string): boolean {
  return (
    new Set(secret).size < DIFFERENT_CHARS_MIN ||
    /change.?me|example|password|placeholder|secret|12345678|your.?token/i.test(secret)
  )
}

/**
 * The absolute path of a folder, `fallback` when unset. It can be made and written, unless something else is
 * there. Throws SettingError.
 */
export function folderSetting(env: Environment, name: string, fallback: string): string {
  const path = resolve(optionalSetting(env, name) ?? fallback)
  const fault = faultOfFolder(path)
  if (fault !== null) throw new SettingError(name, path, `${fault}; allowed is a folder of your own`)
  return path
}

/** Looks at the folder, or at the nearest one above that exists. */
function faultOfFolder(path: string): string | null {
  try {
    if (!statSync(path).isDirectory()) return `${path} is no folder`
    accessSync(path, constants.W_OK | constants.X_OK)
    return null
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && dirname(path) !== path) return faultOfFolder(dirname(path))
    return code === 'ENOTDIR' ? `a part of ${path} is no folder` : `${path} cannot be written (${code})`
  }
}
