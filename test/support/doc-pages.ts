import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A page of docs/, or with `../` before its name one above it. */
export function readDoc(name: string): string {
  return readFileSync(fileURLToPath(new URL(name, new URL('../../docs/', import.meta.url))), 'utf8')
}

/** The code between fences of `language`, in order. */
export function fencedBlocks(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, code = '']) => code,
  )
}

/**
 * The indented paragraphs (four spaces, or more below a list), in order and without their indent: lines for a
 * shell.
 */
export function indentedBlocks(page: string): string[] {
  const prose = page.replaceAll(/^```[\s\S]*?^```$/gm, '')
  const blocks = [...prose.matchAll(/(?:^ {4,}\S.*\n)+/gm)].map(([text]) => text)
  return blocks.map((text) =>
    text.replaceAll(new RegExp(`^ {${/^ +/.exec(text)?.[0].length ?? 4}}`, 'gm'), ''),
  )
}
