/**
 * Where output goes. On a TTY one progress line is redrawn; elsewhere a line is added when something changed.
 */
export interface Terminal {
  write(text: string): void
  /** A line that is no result: on stderr, so that it never comes between the lines of `--json`. */
  notice(line: string): void
  isTTY: boolean
  /** Now: a window can be made narrower. */
  readonly columns: number
}
