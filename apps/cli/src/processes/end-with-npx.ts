/** How often to look: the end of a parent is no event. */
const LOOK_MS = 500

/**
 * Ends this process as SIGTERM does, when npx has started it and is gone. npx passes SIGTERM on to a shell,
 * which ends of it and passes nothing on; and a command that nobody waits for must not go on spending money.
 */
export function endWithNpx(env: NodeJS.ProcessEnv): void {
  if (env.npm_command !== 'exec') return
  const parent = process.ppid
  const look = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(look)
    process.kill(process.pid, 'SIGTERM')
  }, LOOK_MS).unref()
}
