import type { z } from 'zod'
import { invalidValue, SluiceError, showGiven } from '../errors.ts'

/**
 * Parses what a caller sent. Throws SluiceError with the field at fault, what was given and what is allowed;
 * for a name among `otherNames`, with what says it here.
 */
export function parseRequest<S extends z.ZodType>(
  schema: S,
  value: unknown,
  otherNames: Readonly<Record<string, string>> = {},
): z.output<S> {
  const parsed = schema.safeParse(value, { reportInput: true })
  if (parsed.success) return parsed.data
  throw errorOf(parsed.error, otherNames)
}

type Issue = z.core.$ZodIssue

/** The error for the first issue. */
function errorOf(error: z.ZodError, otherNames: Readonly<Record<string, string>>): SluiceError {
  const issue = error.issues[0]
  if (issue === undefined) return new SluiceError('invalid_value', 'The request is not valid.')
  const field = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const path = [...issue.path, issue.keys[0] ?? ''].join('.')
    const here = Object.hasOwn(otherNames, path) ? ` Here it is ${otherNames[path]}.` : ''
    const message = `Unknown parameter: ${showGiven(path)}.${here}`
    return new SluiceError('unknown_parameter', message, path.slice(0, 200))
  }
  if (issue.input === undefined && issue.code === 'invalid_type') {
    const name = field === '' ? 'The body' : field
    return new SluiceError(
      'missing_parameter',
      `${name} is missing: allowed is ${allowedBy(issue)}.`,
      field === '' ? null : field,
    )
  }
  return invalidValue(field.slice(0, 200), issue.input, allowedBy(issue))
}

/** What the schema allows, in words. Messages of custom checks are written to be that. */
function allowedBy(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return typeInWords(issue.expected)
    case 'invalid_value':
      return issue.values.map(String).join(', ')
    case 'too_big':
      return `at most ${issue.maximum}`
    case 'too_small':
      return `at least ${issue.minimum}`
    case 'invalid_union':
      return [...new Set(issue.errors.flatMap((errors) => errors.slice(0, 1).map(allowedBy)))].join(' or ')
    case 'invalid_key':
      return `a key of ${issue.issues[0] === undefined ? 'text' : allowedBy(issue.issues[0])}`
    default:
      return issue.message
  }
}

const TYPES_IN_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  record: 'an object of text values',
  object: 'an object',
  array: 'a list',
  boolean: 'true or false',
}

function typeInWords(expected: string): string {
  return TYPES_IN_WORDS[expected] ?? expected
}
