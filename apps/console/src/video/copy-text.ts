/** Puts `text` on the clipboard. Returns false when the browser refuses; never rejects. */
export async function copyText(text: string): Promise<boolean> {
  // navigator.clipboard exists only in secure contexts; in a private network a service is often plain http.
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text)
      return true
    } catch {
      return false
    }
  }
  const field = document.createElement('textarea')
  field.value = text
  field.className = 'unseen'
  document.body.append(field)
  field.select()
  const copied = document.execCommand('copy')
  field.remove()
  return copied
}
