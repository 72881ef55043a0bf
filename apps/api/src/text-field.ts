import { isStorable } from '@sluice/shared/outside-values'
import { z } from 'zod'

/** What a JSON schema can say of text: no NUL, and where it must not be blank one character at least. */
const PATTERN = '^[^\\u0000]*$'
const PATTERN_NOT_BLANK = '^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$'

/** Text of at most `charsMax` characters. Counts Unicode code points, so that an emoji is one and not two. */
export const text = (charsMax: number) =>
  z
    .string()
    .refine(
      (value) => value.length <= charsMax * 2 && [...value].length <= charsMax,
      `text of at most ${charsMax} characters`,
    )
    .refine(isStorable, 'text without NUL characters or lone surrogates')
    .meta({ maxLength: charsMax, pattern: PATTERN })

/** The same with something in it besides white space. */
export const textNotBlank = (charsMax: number) =>
  text(charsMax)
    .refine((value) => value.trim() !== '', 'text that is not blank')
    .meta({ minLength: 1, pattern: PATTERN_NOT_BLANK })
