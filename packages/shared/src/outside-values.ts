import { z } from 'zod'

/*
 * What another machine says of itself. Each value is either storable and in its bounds, or refused with the
 * field's name; where a wrong value must not cost finished work, it is mended instead.
 */

/** The largest whole number a column of type `integer` holds. */
const INTEGER_MAX = 2_147_483_647
/** A pebibyte: more than any device or file has. */
const BYTES_MAX = 2 ** 50
/** Seconds that one phase of an attempt may be said to have taken: a day. */
const PHASE_SECONDS_MAX = 86_400
/** Runners have some ten phases with names of one word. */
const PHASES_MAX = 32
const PHASE_CHARS_MAX = 64

/** Whether PostgreSQL can keep it as text and in jsonb: no NUL character, no half of a surrogate pair. */
export function isStorable(text: string): boolean {
  return !text.includes('\u0000') && text.isWellFormed()
}

/** A name, such as an id: refused unless it is 1 to `charsMax` storable characters. */
export const outsideName = (charsMax = 128) =>
  z.string().min(1).max(charsMax).refine(isStorable, 'text without NUL characters or lone surrogates')

/** Text for people, such as what a runner printed last: cut, and what cannot be stored is replaced. */
export const outsideText = (charsMax: number) =>
  z.string().transform((text) => text.slice(0, charsMax).replaceAll('\u0000', '\uFFFD').toWellFormed())

/** A whole number from `min`, at most `max` or what a column holds. */
export const outsideCount = (min: 0 | 1, max: number = INTEGER_MAX) => z.int().min(min).max(max)

/** A size in bytes. */
export const outsideBytes = () => z.number().nonnegative().max(BYTES_MAX)

/** A measured size in bytes, which nothing depends on: 0 when it is no size, at most what bytes can be. */
export const measuredBytes = () =>
  z
    .number()
    .nonnegative()
    .catch(0)
    .transform((bytes) => Math.min(bytes, BYTES_MAX))

/** Milliseconds from now, rounded; more than `maxMs` counts as `maxMs`. */
export const outsideWaitMs = (maxMs: number) =>
  z
    .number()
    .nonnegative()
    .transform((waitMs) => Math.round(Math.min(waitMs, maxMs)))

/** Measured seconds by phase. What is no time, or has no name that can be stored, is left out. */
export const measuredSeconds = () =>
  z
    .record(z.string(), z.unknown())
    .catch({})
    .transform((phases) => {
      const sane = Object.entries(phases).flatMap(([phase, seconds]) =>
        isPhase(phase) && isSeconds(seconds) ? [[phase, seconds] as const] : [],
      )
      return Object.fromEntries(sane.slice(0, PHASES_MAX))
    })

/** At most this many things are said to be used, in so many characters each. */
const USES_MAX = 16
const USE_CHARS_MAX = 200

/** What something was computed with, by name. What cannot be stored is left out, and the rest is cut. */
export const saidUses = () =>
  z
    .record(z.string(), z.unknown())
    .catch({})
    .transform((uses) => {
      const sane = Object.entries(uses).flatMap(([name, use]) =>
        isPhase(name) && typeof use === 'string' && isStorable(use)
          ? [[name, use.slice(0, USE_CHARS_MAX).toWellFormed()] as const]
          : [],
      )
      return Object.fromEntries(sane.slice(0, USES_MAX))
    })

function isPhase(phase: string): boolean {
  return phase.length >= 1 && phase.length <= PHASE_CHARS_MAX && isStorable(phase)
}

function isSeconds(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= PHASE_SECONDS_MAX
}
