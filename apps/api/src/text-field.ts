import { isStorable } from '@sluice/shared/outside-values'
import { z } from 'zod'

/** Text of at most `charsMax` characters. Counts Unicode code points, so that an emoji is one and not two. */
export const text = (charsMax: number) =>
  z
    .string()
    .refine(
      (value) => value.length <= charsMax * 2 && [...value].length <= charsMax,
      `text of at most ${charsMax} characters`,
    )
    .refine(isStorable, 'text without NUL characters or lone surrogates')
