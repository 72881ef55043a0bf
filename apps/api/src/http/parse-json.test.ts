import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJson } from './parse-json.ts'

const LONG = 'iVBORw0KGgo+/'.repeat(20_000)
const parse = (text: string) => parseJson(Buffer.from(text))

describe('a JSON body', () => {
  it('is what JSON.parse makes of it, whatever stands beside and inside of a long text', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(LONG, `${LONG}\\"${LONG}`, `ä${LONG}`, `"${LONG}\\`, `${'x'.repeat(62)}\\"`, ''),
    )
    const body = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        text,
        fc.integer(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(text, tie('value'), { maxKeys: 3 }),
      ),
    })).value
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom(undefined, 2), async (value, indent) => {
        const json = JSON.stringify(value, null, indent)
        expect(await parse(json)).toEqual(JSON.parse(json))
      }),
      { numRuns: 60 },
    )
  })

  it('has its long texts even when it begins with a byte order mark', async () => {
    expect(await parse(`\ufeff{"a":"${LONG}"}`)).toEqual({ a: LONG })
    expect(await parse(`\ufeff`)).toEqual({})
  })

  it('cannot name a long text where there is none', async () => {
    const body = { a: LONG, b: '0', c: `${LONG.slice(0, 36)}0` }
    expect(await parse(JSON.stringify(body))).toEqual(body)
  })

  it('is as deep as it is, whatever stands in its texts', async () => {
    for (const text of [`${'x'.repeat(70)}\\`, `${'x'.repeat(70)}\\\\"`, `\\`, LONG]) {
      const body = [text, '['.repeat(40), text, ']'.repeat(40)]
      expect(await parse(JSON.stringify(body))).toEqual(body)
    }
  })

  it('that is broken or too deep is refused with and without a long text', async () => {
    for (const text of ['"', '"x', '{"a":', `{"a":"${LONG}`, `{"a":"${LONG}",}`, `{"a" "${LONG}"}`])
      await expect(parse(text), text.slice(0, 20)).rejects.toThrow(SyntaxError)
    for (const inner of ['', `"${LONG}"`])
      await expect(parse(`${'['.repeat(33)}${inner}${']'.repeat(33)}`)).rejects.toThrow(
        'nests deeper than 32',
      )
    expect(await parse(`${'['.repeat(32)}"[[{${LONG}"${']'.repeat(32)}`)).toBeDefined()
  })
})
