/**
 * Saves the bytes at `url` under `name`. A store of this origin is read here first, since the name in its own answer would win over
 * ours; a store elsewhere is only followed, because the page may not read from other origins.
 * Throws when the store does not give the bytes.
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

/** The browser takes a blob's URL over well within this. */
const REVOKE_MS = 60_000

function follow(url: string, name: string): void {
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.rel = 'noopener'
  link.click()
}
