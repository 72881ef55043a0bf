const LENGTH_MAX = 60

/**
 * A file name a person recognises: the prompt's letters and digits of any script, at most 60 characters, ending in `.mp4`.
 * Falls back to the id when the prompt has none.
 */
export function videoFileName(video: { prompt: string; id: string }): string {
  const words =
    video.prompt
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  let name = ''
  for (const word of words) {
    const longer = name === '' ? [...word].slice(0, LENGTH_MAX).join('') : `${name}-${word}`
    if ([...longer].length > LENGTH_MAX) break
    name = longer
  }
  return `${name === '' ? video.id : name}.mp4`
}
