/** A small change that breaks one rule, and the tests that must notice. */
export interface Mutant {
  /** The rule it breaks: the number of an invariant of ARCHITECTURE.md, or a bound by name. */
  rule: string
  /** From the root of the repository. */
  file: string
  /** Stands exactly once in the file. */
  find: string
  replace: string
  /** Arguments of `vitest run`: a project, files, and `-t` with part of a title where a file is slow. */
  tests: readonly [project: string, ...rest: string[]]
}
