import type { Environment } from './settings.ts'

/** Settings whose whole value is a secret. */
const SECRET_NAME = /TOKEN|SECRET|PASSWORD|KEY/
/** Parts of a URL's query that are secrets. */
const SECRET_PARAMETER = /key|token|secret|pass|code|sig/i
/** A shorter value is a word that may stand in any text; as part of a URL it is hidden all the same. */
const CHARS_MIN = 8
const HIDDEN = '***'

/**
 * What is a secret whatever the settings say: user names and passwords in URLs, signatures of URLs, keys of
 * this service, and what stands in a header Authorization.
 */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^/\s"'<>]*@/gi, `$1${HIDDEN}@`],
  [/([?&](?:X-Amz-Signature|X-Amz-Security-Token|sig)=)[^&\s"'<>]+/gi, `$1${HIDDEN}`],
  [/\b(sk-sluice-|sk-admin-|wk-sluice-|whsec_)[\w+/=-]{8,}/g, `$1${HIDDEN}`],
  [/\b(Bearer|Basic) [\w.~+/=-]{8,}/g, `$1 ${HIDDEN}`],
]

/**
 * A function that replaces every secret in a text by `***`: those of the program's own settings, in all forms
 * in which a library may show them, and what looks like a secret of others. Everything that a program prints
 * or logs on its own account goes through it.
 */
export function hideSecrets(env: Environment): (text: string) => string {
  const values = Object.entries(env).flatMap(([name, value]) => secretsOf(name, value?.trim() ?? ''))
  const forms = [...new Set(values.filter((value) => value.length >= CHARS_MIN).flatMap(formsOf))]
  // The longest first: one may be the beginning of another.
  forms.sort((a, b) => b.length - a.length)
  const known = forms.length === 0 ? null : new RegExp(forms.map(escaped).join('|'), 'g')
  return (text) => {
    const shown = known === null ? text : text.replace(known, HIDDEN)
    return PATTERNS.reduce((hidden, [pattern, by]) => hidden.replace(pattern, by), shown)
  }
}

function secretsOf(name: string, value: string): string[] {
  if (SECRET_NAME.test(name)) return [value]
  const url = URL.parse(value.replace('@/', '@socket/'))
  if (url === null) return passwordsOfNoUrl(value)
  const parameters = [...url.searchParams].filter(([parameter]) => SECRET_PARAMETER.test(parameter))
  return [url.password, ...parameters.map(([, parameter]) => parameter)]
}

/** What may be a password in a URL that cannot be read, such as one with a "#" in its password. */
function passwordsOfNoUrl(value: string): string[] {
  return /^[a-z]+:\/\/[^:]*:(.+)@/i.exec(value)?.slice(1) ?? []
}

function formsOf(value: string): string[] {
  const plain = decoded(value)
  return [value, plain, encodeURIComponent(plain)].flatMap((form) => [
    form,
    // As it stands in a line of JSON.
    JSON.stringify(form).slice(1, -1),
  ])
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
