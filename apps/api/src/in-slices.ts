import { setImmediate } from 'node:timers/promises'

/** How long work may hold the event loop before everybody else gets a turn. */
const SLICE_MS = 2

/** Others are served first: between two parts of a request that each hold the event loop for milliseconds. */
export async function letOthers(): Promise<void> {
  await setImmediate()
}

/** What `work` makes of each item, in order. Whenever that has taken some milliseconds, others are served. */
export async function inSlices<In, Out>(items: readonly In[], work: (item: In) => Out): Promise<Out[]> {
  const results: Out[] = []
  let sliceEndsMs = performance.now() + SLICE_MS
  for (const item of items) {
    results.push(work(item))
    if (performance.now() < sliceEndsMs) continue
    await setImmediate()
    sliceEndsMs = performance.now() + SLICE_MS
  }
  return results
}

/** What `work` returns, which yields where it may be cut: after some milliseconds others are served. */
export async function cutAtYields<Out>(work: Generator<undefined, Out>): Promise<Out> {
  for (;;) {
    const sliceEndsMs = performance.now() + SLICE_MS
    while (performance.now() < sliceEndsMs) {
      const { done, value } = work.next()
      if (done === true) return value
    }
    await setImmediate()
  }
}
