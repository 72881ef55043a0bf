import { readFileSync } from 'node:fs'
import { formatMicros, parseMicros } from '@sluice/shared/money'
import { expect, test } from 'vitest'
import { createOperator } from './operator.ts'
import { type PriceListFlags, showPriceList } from './price-list.ts'

const NO_SERVICE = { SLUICE_DATA_DIR: '/nowhere' }
const SLOT = { costPerHour: '1.99', tokensPerSecond: 7_040 }

async function printed(flags: PriceListFlags): Promise<string[]> {
  const lines: string[] = []
  const operator = createOperator(NO_SERVICE, { print: (line) => lines.push(line), notice: () => {} })
  await showPriceList(operator, flags)
  return lines
}

test('a slot that is only planned gets its cost, and a price that leaves the margin, without a service', async () => {
  const [header, line, ...more] = await printed({ utilisation: 60, margin: 40, ...SLOT })
  const cells = (text: string | undefined) => text?.trim().split(/ {2,}/)
  expect(cells(header)).toEqual(['an hour', 'tokens/s', 'cost, busy', 'cost at 60 %', 'price', 'now'])
  expect(cells(line)).toEqual(['a slot', '1.99', '7040', '0.07852', '0.130866', '0.219', '-'])
  expect(more).toEqual([])
})

test('a utilisation, a margin or half of a slot that cannot be is named', async () => {
  const wrong: [Partial<PriceListFlags>, RegExp][] = [
    [{ utilisation: 0 }, /^--utilisation is 0: .*above 0 and at most 100/],
    [{ utilisation: 101 }, /^--utilisation is 101/],
    [{ margin: 100 }, /^--margin is 100: .*below 100/],
    [{ costPerHour: undefined } as Partial<PriceListFlags>, /go together/],
    [{ tokensPerSecond: 0 }, /^--tokens-per-second is 0/],
  ]
  for (const [flags, message] of wrong)
    await expect(printed({ utilisation: 60, margin: 40, ...SLOT, ...flags })).rejects.toThrow(message)
})

test('the page about economics shows what the command prints, and prices that follow from it', async () => {
  const page = readFileSync(new URL('../../../../docs/economics.md', import.meta.url), 'utf8')
  const shown = [...page.matchAll(/```sh\nnpx sluice price-list (.*)\n```\n\n```text\n([^`]*)```/g)]
  expect(shown).toHaveLength(2)
  const rows = (name: string) =>
    page
      .split('\n')
      .find((line) => line.startsWith(`| ${name}`))
      ?.split('|')
      .slice(2, 4)
      .map((cell) => cell.trim())
  for (const [at, [, flags = '', output = '']] of shown.entries()) {
    const of = (flag: string) => new RegExp(`--${flag} (\\S+)`).exec(flags)?.[1] ?? ''
    const lines = await printed({
      utilisation: Number(of('utilisation')),
      margin: Number(of('margin')),
      costPerHour: of('cost-per-hour'),
      tokensPerSecond: Number(of('tokens-per-second')),
    })
    expect(lines).toEqual(output.trimEnd().split('\n'))
    const [, , , busy, cost, price = ''] = lines[1]?.split(/ {2,}/) ?? []
    const times = (factor: bigint) => formatMicros(((parseMicros(price) ?? 0n) * factor) / 10n)
    expect(rows('cost, busy')?.[at]).toBe(busy)
    expect(rows('cost at 60 %')?.[at]).toBe(cost)
    expect(rows('`priority`')?.[at]).toBe(times(15n))
    expect(rows('`standard`')?.[at]).toBe(price)
    expect(rows('`flex`')?.[at]).toBe(times(5n))
  }
})
