import { sizeText } from '../size-text.ts'
import { secondsText } from './progress-text.ts'
import type { Video } from './video.ts'

/** `boat.mp4: 1.2 MB, 336x192, 5.38 s`. */
export function savedText(video: Video, name: string, bytes: number): string {
  return `${name}: ${sizeText(bytes)}, ${video.size}, ${secondsText(video.seconds)}`
}
