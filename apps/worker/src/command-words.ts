import { SettingError } from '@sluice/shared/settings'

/**
 * Returns a command line as an argument array, which no shell runs. It is a JSON array of strings, or words
 * separated by blanks: '...' keeps everything as it is, and so does "..." except for a backslash before a
 * quote or a backslash. Throws SettingError (named `setting`) for an empty command or an open quote.
 */
export function splitCommand(setting: string, text: string): readonly [string, ...string[]] {
  const words = text.trimStart().startsWith('[') ? parseJsonWords(setting, text) : parseWords(setting, text)
  const [file, ...args] = words
  if (file === undefined || file === '')
    throw new SettingError(setting, text, 'allowed is a command: words, or a JSON array of strings')
  return [file, ...args]
}

function parseJsonWords(setting: string, text: string): string[] {
  try {
    const parsed: unknown = JSON.parse(text)
    if (Array.isArray(parsed) && parsed.every((word) => typeof word === 'string')) return parsed
  } catch {
    // Not JSON is as wrong as another kind of JSON.
  }
  throw new SettingError(
    setting,
    text,
    'allowed is a JSON array of strings, such as ["python3","-m","runner"]',
  )
}

function parseWords(setting: string, text: string): string[] {
  const words: string[] = []
  const word = /\s*((?:'[^']*'|"(?:\\["\\]|[^"])*"|[^\s'"])+)/y
  let at = 0
  while (text.slice(at).trim() !== '') {
    word.lastIndex = at
    const match = word.exec(text)
    if (match === null) throw new SettingError(setting, text, 'a quote is not closed')
    at = word.lastIndex
    words.push(
      (match[1] ?? '').replace(/'([^']*)'|"((?:\\["\\]|[^"])*)"/g, (_, single?: string, double?: string) =>
        single !== undefined ? single : (double ?? '').replace(/\\(["\\])/g, '$1'),
      ),
    )
  }
  return words
}
