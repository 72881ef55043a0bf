import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { runnerReplySchema, runnerRequestSchema } from './runner-protocol.ts'

const folder = new URL('../fixtures/runner/', import.meta.url)
const fixtures = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => ({ name, content: JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as unknown }))
const kinds = { request: runnerRequestSchema, reply: runnerReplySchema }

describe.each(['request', 'reply'] as const)('%s fixtures', (kind) => {
  const schema = kinds[kind]
  const own = fixtures.filter(({ name }) => name.startsWith(`${kind}.`))

  test.each(own)('$name parses to exactly itself', ({ content }) => {
    expect(schema.parse(content)).toEqual(content)
  })

  test('every message type has a fixture named after it', () => {
    const types = schema.options.map((option) => option.shape.type.value).sort()
    const named = own.map(({ name, content }) => {
      const { type } = schema.parse(content)
      expect(name).toMatch(new RegExp(`^${kind}\\.${type}[.-]`))
      return type
    })
    expect([...new Set(named)].sort()).toEqual(types)
  })
})

test('no fixture stands outside the two kinds', () => {
  expect(fixtures.filter(({ name }) => !/^(request|reply)\./.test(name))).toEqual([])
})

test('what a runner says that it uses is mended, so that it never costs a finished video', () => {
  const ready = JSON.parse(readFileSync(new URL('reply.ready.json', folder), 'utf8'))
  const usesOf = (uses: unknown) => {
    const reply = runnerReplySchema.parse({ ...ready, uses })
    return reply.type === 'ready' ? reply.uses : null
  }
  expect(usesOf({ attention: 'sdpa-cudnn' })).toEqual({ attention: 'sdpa-cudnn' })
  expect(usesOf({ attention: 1, '': 'x', a: 'nul \0', b: 'y'.repeat(300) })).toEqual({ b: 'y'.repeat(200) })
  expect(usesOf('fast')).toEqual({})
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`use-${index}`, 'x']))
  expect(Object.keys(usesOf(many) ?? {})).toHaveLength(16)
})
