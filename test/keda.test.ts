import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

const read = (path: string) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')
const example = () => parse(read('../docs/keda-scaled-object.yaml'))
const schema = JSON.parse(read('./support/keda-scaled-object.schema.json'))

/** Kubernetes drops fields that a schema does not name; here they are faults. */
function closed(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(closed)
  if (typeof part !== 'object' || part === null) return part
  const fields = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, closed(value)]))
  const isOpen = fields.type !== 'object' || fields.properties === undefined
  return isOpen ? fields : { ...fields, additionalProperties: false }
}

/** What is wrong with a ScaledObject; null = nothing. */
function faultsOf(object: unknown) {
  const ajv = new Ajv({ strict: false, formats: { int32: true, int64: true } })
  return ajv.validate(closed(schema) as object, object) ? null : ajv.errorsText()
}

test("the KEDA example is valid by KEDA's own schema, to the last field", () => {
  expect(faultsOf(example())).toBeNull()
  const { spec } = example()
  expect(spec.minReplicaCount).toBeLessThan(spec.maxReplicaCount)
})

test('that schema notices a field that KEDA does not know, and one that is no number', () => {
  const misspelt = example()
  misspelt.spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilisationWindowSeconds = 1
  expect(faultsOf(misspelt)).toContain('must NOT have additional properties')
  const wrong = example()
  wrong.spec.triggers[0].metadata.threshold = 1
  expect(faultsOf(wrong)).toContain('must be string')
})

test('the example asks for a figure that /metrics has, of one pool', () => {
  const [{ metadata }] = example().spec.triggers
  const name = /sluice_\w+/.exec(metadata.query)?.[0] ?? ''
  expect(read('../apps/api/src/metrics/installation-metrics.ts')).toContain(`'${name}',`)
  expect(metadata.query).toMatch(/^max\(\w+\{pool="[\w-]+"\}\) or vector\(0\)$/)
})
