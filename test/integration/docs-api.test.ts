import { expect, test } from 'vitest'
import { documentedOf } from '../../apps/api/src/http/openapi.ts'
import { ALL_ROUTES } from '../../apps/api/src/routes/all-routes.ts'
import { readDoc } from '../support/doc-pages.ts'

const LANGUAGES = ['sh', 'js', 'python']

test('docs/api.md has every call with curl, Node and Python, in the order of the OpenAPI document', () => {
  const sections = readDoc('api.md').split(/^### /m)
  const calls = documentedOf(ALL_ROUTES).map((route) => `${route.method.toUpperCase()} ${route.path}`)
  expect(sections.slice(1).map((text) => text.slice(0, text.indexOf('\n')))).toEqual(calls)
  for (const text of sections)
    expect([...text.matchAll(/^```(\w+)$/gm)].map((match) => match[1])).toEqual(LANGUAGES)
})
