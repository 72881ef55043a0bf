import { resolve } from 'node:path'
import type { Keys } from '../connection/keys-file.ts'
import type { UpSettings } from './settings.ts'

const PROMPT = 'a paper boat in the rain'
const FILE = 'boat.mp4'
/** The API's last answer, so that its reason is seen when there is no file. */
const ANSWER = 'boat.json'

/**
 * What is printed when everything is ready: the address of the console, and two commands that make a video,
 * each of which works when pasted as it is.
 */
export function firstSteps(settings: UpSettings, keys: Keys, folder: string = process.cwd()): string {
  return [
    '',
    '  Sluice is ready.',
    '',
    `  Open     ${settings.publicUrl}/#key=${encodeURIComponent(keys.key)}`,
    ...fromElsewhere(settings),
    '',
    '  Or paste',
    '',
    indent(generateLine(settings, keys, folder)),
    '',
    indent(curlLines(settings, keys)),
    '',
    '  Ctrl-C stops everything; nothing is lost.',
    '',
  ].join('\n')
}

/** An address of this machine beside the one above it, for a service that listens on all of them. */
function fromElsewhere({ urlsFromElsewhere, publicUrl }: UpSettings): string[] {
  const others = urlsFromElsewhere.filter((url) => url !== publicUrl)
  if (others.length === 0) return []
  return [`  others   reach it at ${others.join(', ')}; SLUICE_PUBLIC_URL says which one they are given`]
}

/** The command line's command, after the settings that another shell does not have. */
export function generateLine(settings: UpSettings, keys: Keys, folder: string): string {
  const needed = [
    ...(settings.dataDir === resolve(folder, '.sluice')
      ? []
      : [`SLUICE_DATA_DIR=${shellQuote(settings.dataDir)}`]),
    ...(keys.base_url === `${settings.apiUrl}/v1`
      ? []
      : [`SLUICE_BASE_URL=${shellQuote(`${settings.apiUrl}/v1`)}`]),
  ]
  return [...needed, 'npx', 'sluice', 'generate', `"${PROMPT}"`, '-o', FILE].join(' ')
}

/**
 * One command that creates, waits and downloads, or shows what was said against it. It ends with its last
 * line only, so all can be pasted at once.
 */
export function curlLines(settings: UpSettings, keys: Keys): string {
  const videos = `${settings.apiUrl}/v1/videos`
  const key = `-H "Authorization: Bearer ${keys.key}"`
  return [
    `{ curl -sS ${videos} ${key} -H "Content-Type: application/json" -d '{"prompt": "${PROMPT}"}' -o ${ANSWER}`,
    `  id=$(grep -Eo 'video_[0-9a-z]{26}' ${ANSWER} | head -n 1)`,
    `  while [ -n "$id" ] && curl -sS ${videos}/$id ${key} -o ${ANSWER} &&`,
    `    grep -Eq '"status": *"(queued|in_progress)"' ${ANSWER}; do sleep 1; done`,
    `  if grep -q '"status": *"completed"' ${ANSWER}; then`,
    `    curl -sSL --fail-with-body ${videos}/$id/content ${key} -o ${FILE} && echo "${FILE} is there" || cat ${FILE}`,
    `  else cat ${ANSWER}; fi; }`,
  ].join('\n')
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ')
}

function shellQuote(text: string): string {
  return /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
