import { expect, test } from 'vitest'
import { z } from 'zod'
import { formReader } from './form-fields.ts'

const BODY = z.strictObject({
  count: z.int().min(1).optional(),
  share: z.number().nullable().default(1),
  doubled: z.number().transform((value) => value * 2),
  either: z.union([z.int(), z.null()]).optional(),
  flag: z.boolean().default(false),
  text: z.string().optional(),
  name: z.string(),
  amount: z.string().transform(Number).optional(),
  mixed: z.union([z.string(), z.number()]).optional(),
  any: z.unknown(),
  list: z.array(z.int()).optional(),
  words: z
    .array(z.enum(['a', 'b']))
    .nullable()
    .optional(),
  labels: z.record(z.string(), z.string()).optional(),
  image: z
    .custom<unknown>()
    .meta({ override: { anyOf: [{ type: 'string' }, { type: 'object' }] } })
    .optional(),
})
const read = formReader(BODY.meta({ id: 'Body' }))

test('text is read as what the schema takes, through optional, default, nullable, pipe and union', () => {
  expect(read({ count: '129', share: '-7.5', doubled: '2', either: '7', flag: 'true' })).toEqual({
    count: 129,
    share: -7.5,
    doubled: 2,
    either: 7,
    flag: true,
  })
  expect([read({ flag: 'True' }), read({ flag: 'FALSE' })]).toEqual([{ flag: true }, { flag: false }])
  expect(read({ share: 'null', either: 'null', words: 'null' })).toEqual({
    share: null,
    either: null,
    words: null,
  })
})

test('a list is a repeated field, a single one, or JSON text', () => {
  expect(read({ list: '5', words: ['a', 'b'] })).toEqual({ list: [5], words: ['a', 'b'] })
  expect(read({ list: ['5', '6'], words: 'b' })).toEqual({ list: [5, 6], words: ['b'] })
  expect(read({ list: '[5, 6]', words: '["a"]' })).toEqual({ list: [5, 6], words: ['a'] })
})

test('an object is fields in brackets, or JSON text', () => {
  const nested = Object.assign(Object.create(null), { shot: '12' })
  expect(read({ labels: nested })).toEqual({ labels: { shot: '12' } })
  expect(read({ labels: '{"shot": "12"}', image: '{"image_url": "https://a"}' })).toEqual({
    labels: { shot: '12' },
    image: { image_url: 'https://a' },
  })
  expect(read({ labels: '{"shot"', image: 'https://a', text: '{"a": 1}' })).toEqual({
    labels: '{"shot"',
    image: 'https://a',
    text: '{"a": 1}',
  })
})

test('an empty field that may be left out is left out, and any other stays to be refused', () => {
  expect(read({ count: '', text: '', labels: '', words: '', flag: '', name: '', unknown: '' })).toEqual({
    name: '',
    unknown: '',
  })
})

test('text that reads as nothing the schema takes stays text, and so does every other field', () => {
  for (const text of [' 5', '1e3', '0x10', '1234567890123456', 'null']) {
    expect(read({ count: text })).toEqual({ count: text })
  }
  for (const name of ['flag', 'text', 'amount', 'mixed', 'any', 'constructor', 'unknown']) {
    expect(read({ [name]: '1' })).toEqual({ [name]: '1' })
  }
  expect(Object.entries(read(JSON.parse('{"__proto__": "1"}')))).toEqual([['__proto__', '1']])
  expect(formReader(z.array(z.int()))({ a: '1' })).toEqual({ a: '1' })
})
