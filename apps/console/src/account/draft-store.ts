/** What the viewer has typed survives a reload of this tab; the settings are kept in this browser. */
const TEXT_NAME = 'sluice.draft'
const SETTINGS_NAME = 'sluice.settings'

/** The sentence that was being written in this tab. */
export function readDraft(): string {
  return sessionStorage.getItem(TEXT_NAME) ?? ''
}

/** Keeps the sentence that is being written. */
export function keepDraft(text: string): void {
  if (text === '') sessionStorage.removeItem(TEXT_NAME)
  else sessionStorage.setItem(TEXT_NAME, text)
}

/** Removes what was typed, since somebody else may be next. */
export function forgetDraft(): void {
  sessionStorage.removeItem(TEXT_NAME)
}

/** The settings as they were kept; null when there are none or they cannot be read. */
export function readKeptSettings(): unknown {
  try {
    return JSON.parse(localStorage.getItem(SETTINGS_NAME) ?? 'null')
  } catch {
    return null
  }
}

/** Keeps the settings for the next visit. */
export function keepSettings(settings: object): void {
  localStorage.setItem(SETTINGS_NAME, JSON.stringify(settings))
}
