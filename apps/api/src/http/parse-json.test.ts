import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LongText } from '../long-text.ts'
import { scanJson } from './json-scan.ts'
import { readJsonText } from './json-text.ts'
import { parseJson } from './parse-json.ts'

const LONG = 'iVBORw0KGgo+/'.repeat(20_000)
const MARKED = Buffer.from([0xef, 0xbb, 0xbf])

/** Parses it as a body that is longer than the rest of one may be. */
async function parseLarge(text: string, restBytesMax?: number): Promise<unknown> {
  const bytes = Buffer.from(text)
  return parseJson(bytes, { longField: 'image', restBytesMax: restBytesMax ?? bytes.length - 1 })
}

const parseSmall = (text: string) =>
  parseJson(Buffer.from(text), { longField: 'image', restBytesMax: Number.POSITIVE_INFINITY })

/** As JSON.parse makes it: long texts of the field `image` are read out. */
function readOut(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body) || !('image' in body)) return body
  const { image } = body
  if (image instanceof LongText) return { ...body, image: String(image) }
  if (typeof image !== 'object' || image === null) return body
  const entries = Object.entries(image).map(([name, value]) => [
    name,
    value instanceof LongText ? String(value) : value,
  ])
  return { ...body, image: Object.fromEntries(entries) }
}

describe('a JSON body', () => {
  it('is what JSON.parse makes of it, whatever stands beside and inside of a long text', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        LONG,
        `${LONG}\\"${LONG}`,
        `ä${LONG}`,
        `€${LONG}`,
        `"${LONG}\\`,
        `${'x'.repeat(254)}\\"`,
        '',
      ),
    )
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        text,
        fc.integer(),
        fc.constant(null),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(text, tie('value'), { maxKeys: 3 }),
      ),
    })).value
    const image = fc.oneof(fc.constant(LONG), text, fc.record({ image_url: text }))
    await fc.assert(
      fc.asyncProperty(image, value, fc.constantFrom(undefined, 2), async (image, other, indent) => {
        const json = JSON.stringify({ before: other, image, x: 'x' }, null, indent)
        expect(await parseSmall(json)).toEqual(JSON.parse(json))
        const { length } = typeof image === 'string' ? image : image.image_url
        // Something must be left out to be below the bound.
        if (length > 0) expect(readOut(await parseLarge(json))).toEqual(JSON.parse(json))
      }),
      { numRuns: 60 },
    )
  })

  it('has its long text in bytes, and only where it belongs', async () => {
    const body = await parseLarge(JSON.stringify({ image: { image_url: LONG }, prompt: LONG }))
    expect(body).toEqual({ image: { image_url: expect.any(LongText) }, prompt: LONG })
    expect(readOut(body)).toEqual({ image: { image_url: LONG }, prompt: LONG })
  })

  it('has its long text whatever the client escapes, and wherever it begins', async () => {
    const escaped = `\ufeff{"image":"${LONG.replaceAll('/', '\\/').replaceAll('+', '\\u002B')}"}`
    const body = (await parseLarge(escaped, 200_000)) as { image: unknown }
    expect(body.image).toBeInstanceOf(LongText)
    expect(readOut(body)).toEqual({ image: LONG })
    expect(await parseSmall(MARKED.toString())).toEqual({})
  })

  it('cannot name a long text where there is none', async () => {
    const body = { image: LONG, b: '0', c: `${LONG.slice(0, 36)}0` }
    expect(readOut(await parseLarge(JSON.stringify(body)))).toEqual(body)
  })

  it('is as deep as it is, whatever stands in its texts', async () => {
    for (const text of [`${'x'.repeat(270)}\\`, `${'x'.repeat(270)}\\\\"`, '\\', LONG]) {
      const body = { image: LONG, a: [text, '['.repeat(40), text, ']'.repeat(40)] }
      expect(readOut(await parseLarge(JSON.stringify(body)))).toEqual(body)
    }
  })

  it('that is broken or too deep is refused with and without a long text', async () => {
    for (const text of ['"', '"x', '{"a":', `{"a":"${LONG}`, `{"a":"${LONG}",}`, `{"a" "${LONG}"}`])
      await expect(parseSmall(text), text.slice(0, 20)).rejects.toThrow(SyntaxError)
    for (const text of [`{"a":"${LONG}`, `{"a":"${LONG}",}`, `{"a" "${LONG}"}`, `{"image":"${LONG}\\x"}`])
      await expect(parseLarge(text), text.slice(0, 20)).rejects.toThrow(SyntaxError)
    const deep = (levels: number, inner: string) => `${'['.repeat(levels)}${inner}${']'.repeat(levels)}`
    await expect(parseSmall(deep(33, ''))).rejects.toThrow('nests deeper than 32')
    await expect(parseLarge(deep(33, `"${LONG}"`))).rejects.toThrow('nests deeper than 32')
    expect(await parseSmall(deep(32, `"[[{${LONG}"`))).toBeDefined()
  })

  it('that has too much beside its long text is refused before anything of it is parsed', async () => {
    const image = `"image":"${LONG}"`
    for (const [title, rest] of [
      ['values', `"a":[${'[],'.repeat(2_000)}`],
      ['white space', ' '.repeat(5_000)],
      ['a long name', `"${'x'.repeat(200_000)}" :1,`],
      ['short texts', `"a":"${'x'.repeat(5_000)}",`],
    ])
      await expect(parseLarge(`{${rest}${image},,`, 4_000), title).rejects.toThrow('too large')
    await expect(parseLarge(`{"image":"x","other":"${LONG}"}`, 4_000)).rejects.toThrow('too large')
    await expect(parseLarge(`{${image},${image}}`, 4_000)).rejects.toThrow('too large')
    await expect(parseLarge(`"${LONG}"`, 4_000)).rejects.toThrow('too large')
  })
})

describe('a long text', () => {
  const read = (bytes: Buffer) => {
    const reading = readJsonText(bytes)
    for (;;) {
      const { done, value } = reading.next()
      if (done === true) return String(value)
    }
  }

  it('is cut between its characters and escapes, wherever they stand, and whatever bytes they are', () => {
    const units = ['\\u0041', '\\\\', '\\\\u0041', '\\/', '\\"', 'ä', '€', '😀', '\\ud83d\\ude00', '\\ud83d']
    const bytes = [...units.map((unit) => Buffer.from(unit)), Buffer.from([0x80]), Buffer.from([0xe2, 0x82])]
    for (const unit of bytes)
      for (let offset = 0; offset < 7; offset += 1) {
        const text = Buffer.concat([
          Buffer.alloc(64 * 1024 - offset, 'x'),
          ...Array.from({ length: 30_000 }, () => unit),
        ])
        const expected = JSON.parse(`"${text.toString()}"`)
        expect(read(text) === expected, `${unit} at ${offset}`).toBe(true)
      }
  })

  it('gives way to others while its end is looked for, and while it is read', () => {
    for (const unit of ['\\"', '\\\\', 'x\\/', 'ä', 'A']) {
      const text = unit.repeat(1_000_000)
      const cuts = [...scanJson(Buffer.from(`"${text}"`), { restBytesMax: 10 })].length
      // The runtime finds the end of plain text by itself.
      if (unit.includes('\\')) expect(cuts, unit).toBeGreaterThan(100)
      expect([...readJsonText(Buffer.from(text))].length, unit).toBeGreaterThan(10)
    }
  })
})
