import { useSyncExternalStore } from 'react'

const TICK_MS = 20_000
const listeners = new Set<() => void>()
let nowSeconds = Math.floor(Date.now() / 1_000)
let timer: ReturnType<typeof setInterval> | undefined

function listen(listener: () => void): () => void {
  listeners.add(listener)
  timer ??= setInterval(() => {
    nowSeconds = Math.floor(Date.now() / 1_000)
    for (const each of listeners) each()
  }, TICK_MS)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

/** The time in Unix seconds, at most 20 s old. All users share one timer. */
export function useNow(): number {
  return useSyncExternalStore(listen, () => nowSeconds)
}
