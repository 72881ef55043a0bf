import { expect, test } from 'vitest'
import { z } from 'zod'
import { readFormField, typedFieldsOf } from './form-fields.ts'

const BODY = z.strictObject({
  count: z.int().min(1).optional(),
  share: z.number().nullable().default(1),
  doubled: z.number().transform((value) => value * 2),
  either: z.union([z.int(), z.null()]).optional(),
  flag: z.boolean().default(false),
  text: z.string().optional(),
  amount: z.string().transform(Number),
  mixed: z.union([z.string(), z.number()]).optional(),
  any: z.unknown(),
  list: z.array(z.int()),
})

test('fields are typed by what the schema takes, through optional, default, nullable, pipe and union', () => {
  expect(Object.fromEntries(typedFieldsOf(BODY))).toEqual({
    count: 'number',
    share: 'number',
    doubled: 'number',
    either: 'number',
    flag: 'boolean',
  })
  expect([...typedFieldsOf(z.array(z.int()))]).toEqual([])
})

test('text that reads as no number or boolean stays text, and so does every other field', () => {
  const fields = typedFieldsOf(BODY)
  expect(readFormField(fields, 'count', '129')).toBe(129)
  expect(readFormField(fields, 'share', '-7.5')).toBe(-7.5)
  expect(readFormField(fields, 'flag', 'true')).toBe(true)
  for (const text of ['', ' 5', '1e3', '0x10', '1234567890123456']) {
    expect(readFormField(fields, 'count', text)).toBe(text)
  }
  for (const name of ['flag', 'text', 'amount', 'mixed', 'any', 'constructor', '__proto__']) {
    expect(readFormField(fields, name, '1')).toBe('1')
  }
})
