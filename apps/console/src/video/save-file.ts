/** After this the browser has certainly started to save a blob's URL. */
const REVOKE_MS = 60_000

/**
 * Saves the bytes at `url` under `name`. From a store of this origin they are fetched first, because the file
 * name in the store's answer would override ours. A store of another origin is only linked to: the page may
 * not read from it. Throws when the store does not send the bytes.
 */
export async function saveFile(url: string, name: string): Promise<void> {
  if (new URL(url, window.location.href).origin !== window.location.origin) {
    follow(url, name)
    return
  }
  const response = await fetch(url).catch((error: unknown) => {
    throw new Error('The file could not be reached. Try again in a moment.', { cause: error })
  })
  if (!response.ok) throw new Error(`The file could not be read: its store answered ${response.status}.`)
  const local = URL.createObjectURL(await response.blob())
  follow(local, name)
  setTimeout(() => URL.revokeObjectURL(local), REVOKE_MS)
}

function follow(url: string, name: string): void {
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.rel = 'noopener'
  link.click()
}
