import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A page of docs/. */
export function readDoc(name: string): string {
  return readFileSync(fileURLToPath(new URL(`../../docs/${name}`, import.meta.url)), 'utf8')
}

/** The code between fences of `language`, in order. */
export function fencedBlocks(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, code = '']) => code,
  )
}

/** The paragraphs that are set in by four spaces or stand so below a list, in order, without what sets them in: lines for a shell. */
export function indentedBlocks(page: string): string[] {
  const prose = page.replaceAll(/^```[\s\S]*?^```$/gm, '')
  const blocks = [...prose.matchAll(/(?:^ {4,}\S.*\n)+/gm)].map(([text]) => text)
  return blocks.map((text) =>
    text.replaceAll(new RegExp(`^ {${/^ +/.exec(text)?.[0].length ?? 4}}`, 'gm'), ''),
  )
}
