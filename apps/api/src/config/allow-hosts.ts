import { hostIn } from '@sluice/shared/own-address'
import { type Environment, optionalSetting, SettingError } from '@sluice/shared/settings'

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
