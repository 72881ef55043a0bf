import { expect, test } from 'vitest'
import { videoFileName } from './file-name.ts'

const named = (prompt: string) => videoFileName({ prompt, id: 'video_1' })

test('a download is named after its prompt, in any script', () => {
  expect(named('A paper boat, in the rain!')).toBe('a-paper-boat-in-the-rain.mp4')
  expect(named('雨中的纸船 漂流')).toBe('雨中的纸船-漂流.mp4')
})

test('a name never holds a path or an extension of its own', () => {
  expect(named('../../etc/passwd.sh')).toBe('etc-passwd-sh.mp4')
})

test('a prompt without letters falls back to the id', () => {
  expect(named('!!! …')).toBe('video_1.mp4')
})

test('long prompts are cut between words, at 60 characters', () => {
  const name = named('word '.repeat(50))
  expect(name.length).toBeLessThanOrEqual(64)
  expect(name).toMatch(/^(word-)+word\.mp4$/)
  expect([...named('𠀀'.repeat(90))].length).toBe(64)
})
