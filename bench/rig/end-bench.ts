/** Ends the benchmark: what it measured after this error would be worth nothing. */
export function endBench(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
  process.exit(1)
}
