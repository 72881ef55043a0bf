const LENGTH_MAX = 60

/**
 * A file name that a person recognises: the letters and digits of the prompt, in any script, at most 60
 * characters, and `.mp4`. The id takes their place when the prompt has none.
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
