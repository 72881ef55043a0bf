import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const DOCS = fileURLToPath(new URL('../../../../docs/', import.meta.url))

/** The blocks of lines for a shell, each with the output that the page shows below it. */
const BLOCK = /((?:^ {4}\S.*\n)+)\n```text\n([\s\S]*?)```$/gm

test('docs/plan.md and its picture show what its lines print now (-u writes them anew)', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-test-docs-plan-'))
  try {
    const page = readFileSync(join(DOCS, 'plan.md'), 'utf8')
    let written = page
    const blocks = [...page.matchAll(BLOCK)]
    expect(blocks).toHaveLength(3)
    for (const [block, lines = ''] of blocks) {
      const said = await printed(dir, lines)
      written = written.replace(block, () => `${lines}\n\`\`\`text\n${said}\`\`\``)
    }
    await expect(written).toMatchFileSnapshot(join(DOCS, 'plan.md'))
    await expect(readFileSync(join(dir, 'plan.svg'), 'utf8')).toMatchFileSnapshot(join(DOCS, 'plan.svg'))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

/** What the lines print to stdout, pasted into a shell in this folder. */
async function printed(dir: string, lines: string): Promise<string> {
  const script = `npx() { shift; "${process.execPath}" "${MAIN}" "$@"; }\n${lines}`
  const { stdout } = await promisify(execFile)('bash', ['-eu', '-c', script], { cwd: dir })
  return stdout
}
