import { type Environment, optionalSetting, SettingError } from '@sluice/shared/settings'
import { hostOf } from '../outgoing/outgoing-url.ts'

/** Host names and addresses between commas, as URLs write them: lower case, IPv6 without brackets. */
export function readAllowHosts(env: Environment, name: string): ReadonlySet<string> {
  const entries = (optionalSetting(env, name) ?? '')
    .split(',')
    .map((entry) => entry.trim().replace(/\.+$/, ''))
    .filter((entry) => entry !== '')
  return new Set(
    entries.map((entry) => {
      const host = hostIn(entry)
      if (host !== null) return host
      throw new SettingError(
        name,
        entry,
        'allowed are host names and addresses between commas, without scheme, port and path',
      )
    }),
  )
}

function hostIn(entry: string): string | null {
  const text = `http://${entry.includes(':') && !entry.startsWith('[') ? `[${entry}]` : entry}`
  if (/[/@?#\\]|^\[.*[^\]]$/.test(entry) || !URL.canParse(text)) return null
  const url = new URL(text)
  return url.port === '' ? hostOf(url) : null
}
