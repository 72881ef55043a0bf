import { hookTrace, startTrace, stopTrace } from './trace.ts'

/** Preloaded (`--import`) into a program whose way is to be shown: it tells the bench what it did when. */

hookTrace()
process.on('message', (asked: { trace?: 'start' | 'stop' }) => {
  if (asked.trace === 'start') startTrace()
  if (asked.trace === 'stop') process.send?.({ traced: stopTrace() })
})
