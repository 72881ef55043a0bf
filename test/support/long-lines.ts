/** What a line starts in, and what of it a formatter could not break. */
interface LineState {
  /** True inside a template literal that began on an earlier line. */
  isInTemplate: boolean
  isComment: boolean
  /** True when a string, a template or a regular expression begins and ends on this line. */
  hasLiteral: boolean
}

export interface LongLine {
  /** Counts from 1. */
  line: number
  columns: number
}

/** A tool's instruction has to stand on one line, and an address cannot be broken. */
const ONE_LINE = /biome-ignore|oxlint-disable|https?:\/\/\S{20,}/

/**
 * The lines of a TypeScript file that are longer than `columnsMax` and could be shorter: comments, the text
 * of a template over several lines (SQL), and code without a literal. Code with a literal is left to the
 * formatter, which breaks all that it can.
 */
export function longTypeScriptLines(text: string, columnsMax: number): LongLine[] {
  const states = lineStates(text)
  return longLines(text, columnsMax).filter(({ line }) => {
    const { isInTemplate, isComment, hasLiteral } = states[line - 1] as LineState
    return isInTemplate || isComment || !hasLiteral
  })
}

/** The lines of a SQL or Python file that are longer than `columnsMax` and could be shorter. */
export function longLines(text: string, columnsMax: number): LongLine[] {
  return text
    .split('\n')
    .map((content, index) => ({ content, line: index + 1, columns: [...content].length }))
    .filter(({ content, columns }) => columns > columnsMax && !ONE_LINE.test(content))
    .map(({ line, columns }) => ({ line, columns }))
}

type Inside = 'code' | 'line comment' | 'block comment' | 'template' | "'" | '"' | 'regular expression'

/** Reads the file once, knowing just enough of the grammar to tell code, comments and literals apart. */
function lineStates(text: string): LineState[] {
  const states: LineState[] = []
  /** Innermost last: a template holds code, which may hold a template. */
  const nesting: Inside[] = ['code']
  /** Braces that are open in each `${`, innermost last. */
  const braces: number[] = []
  let state: LineState = { isInTemplate: false, isComment: false, hasLiteral: false }
  let before = '\n'
  const leave = () => {
    nesting.pop()
    state.hasLiteral = true
  }
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] as string
    const inside = nesting.at(-1) as Inside
    if (char === '\n') {
      if (!['code', 'template', 'block comment'].includes(inside)) nesting.pop()
      states.push(state)
      const next = nesting.at(-1)
      state = { isInTemplate: next === 'template', isComment: next === 'block comment', hasLiteral: false }
      before = '\n'
      continue
    }
    if (inside === 'code') {
      if (text.startsWith('//', at) || text.startsWith('/*', at)) {
        nesting.push(text[at + 1] === '/' ? 'line comment' : 'block comment')
        state.isComment = true
        at += 1
      } else if (char === '`') nesting.push('template')
      else if (char === "'" || char === '"') nesting.push(char)
      else if (char === '/' && '(,=:[!&|?{};\n'.includes(before)) nesting.push('regular expression')
      else if (char === '{' && braces.length > 0) braces.push((braces.pop() ?? 0) + 1)
      else if (char === '}' && braces.length > 0) {
        const open = (braces.pop() ?? 0) - 1
        if (open < 0) nesting.pop()
        else braces.push(open)
      }
      if (char.trim() !== '') before = char
    } else if (inside === 'block comment') {
      if (text.startsWith('*/', at)) {
        nesting.pop()
        at += 1
      }
    } else if (inside !== 'line comment') {
      if (char === '\\') at += 1
      else if (inside === 'template' && text.startsWith('${', at)) {
        nesting.push('code')
        braces.push(0)
        at += 1
      } else if (char === (inside === 'template' ? '`' : inside === 'regular expression' ? '/' : inside))
        leave()
    }
  }
  states.push(state)
  return states
}
