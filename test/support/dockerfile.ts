import { readFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'

interface Instruction {
  /** `COPY`, `RUN`, ... */
  name: string
  rest: string
}
export interface Stage {
  /** What follows FROM: an image, or an earlier stage. */
  from: string
  alias: string | null
  instructions: Instruction[]
}
export interface Copy {
  /** An earlier stage, or null = the build context. */
  stage: string | null
  sources: string[]
  destination: string
}

/**
 * The stages of a Dockerfile that uses one-line instructions only. Throws on anything before the first FROM.
 */
export function readStages(path: string): Stage[] {
  const stages: Stage[] = []
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (name === undefined || rest === undefined) {
      if (line !== '' && !line.startsWith('#')) throw new Error(`${path}: not understood: ${line}`)
    } else if (name === 'FROM') {
      const [from = '', , alias = null] = rest.split(/\s+/)
      stages.push({ from, alias, instructions: [] })
    } else {
      const stage = stages.at(-1)
      if (stage === undefined) throw new Error(`${path}: ${name} before FROM`)
      stage.instructions.push({ name, rest })
    }
  }
  return stages
}

/** What one instruction of a stage says, in order of appearance. */
export function restsOf(stage: Stage, name: string): string[] {
  return stage.instructions
    .filter((instruction) => instruction.name === name)
    .map((instruction) => instruction.rest)
}

export function copiesOf(stage: Stage): Copy[] {
  return restsOf(stage, 'COPY').map((rest) => {
    const words = rest.split(/\s+/)
    const from = /^--from=(.+)$/.exec(words[0] ?? '')?.[1] ?? null
    const paths = from === null ? words : words.slice(1)
    return { stage: from, sources: paths.slice(0, -1), destination: paths.at(-1) ?? '' }
  })
}

/** A function that says whether .dockerignore keeps a path below the root out of the build context. */
export function dockerIgnore(root: string): (path: string) => boolean {
  return ignoredBy(linesOf(join(root, '.dockerignore')))
}

/** A function that says whether .gitignore keeps a path below the root out of a clone. */
export function gitIgnore(root: string): (path: string) => boolean {
  const patterns = linesOf(join(root, '.gitignore')).map((line) => line.replace(/\/$/, ''))
  return ignoredBy(
    patterns.map((pattern) => (pattern.includes('/') ? pattern.replace(/^\//, '') : `**/${pattern}`)),
  )
}

function linesOf(path: string): string[] {
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  const exception = lines.find((line) => line.startsWith('!'))
  if (exception !== undefined) throw new Error(`${path}: exceptions (${exception}) are not understood here`)
  return lines
}

/** A path is ignored when it or a folder above it matches. */
function ignoredBy(patterns: readonly string[]): (path: string) => boolean {
  return (path) => {
    const parts = path.split('/')
    const selfAndAbove = parts.map((_, index) => parts.slice(0, index + 1).join('/'))
    return selfAndAbove.some((candidate) => patterns.some((pattern) => matchesGlob(candidate, pattern)))
  }
}
