import fc from 'fast-check'
import { expect, test } from 'vitest'
import { csvLines } from './csv.ts'

const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`
const cell = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', ' ', 'ü') })
const rows = fc.array(fc.array(cell, { minLength: 1, maxLength: 4 }), { minLength: 1 })

test('what was written with quotes is read as it was, on the line where it begins', () => {
  fc.assert(
    fc.property(rows, fc.constantFrom('\n', '\r\n'), (written, end) => {
      const text = written.map((cells) => cells.map(quoted).join(',') + end).join('')
      const lines = [...csvLines(text)]
      expect(lines.map(({ cells }) => cells)).toEqual(written)
      let line = 1
      for (const [index, cells] of written.entries()) {
        expect(lines[index]?.line).toBe(line)
        line += 1 + cells.join('').split('\n').length - 1
      }
    }),
  )
})

test('plain lines, a mark of their byte order, empty lines and a last line without an end', () => {
  expect([...csvLines('\uFEFFa,b\r\n\n1, 2\n"x",\n,y')]).toEqual([
    { line: 1, cells: ['a', 'b'] },
    { line: 3, cells: ['1', ' 2'] },
    { line: 4, cells: ['x', ''] },
    { line: 5, cells: ['', 'y'] },
  ])
})

test('a quote that is never closed is named with its line', () => {
  expect(() => [...csvLines('a\n"b')]).toThrow('line 2: a quote is never closed')
})
