import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const healthcheckSchema = z.object({ test: z.array(z.string()) })
const serviceSchema = z.object({
  image: z.string().optional(),
  container_name: z.string().optional(),
  hostname: z.string().optional(),
  build: z.object({ context: z.string(), dockerfile: z.string() }).optional(),
  command: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.union([z.string(), z.number()]).transform(String)).default({}),
  env_file: z.unknown().optional(),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  networks: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: healthcheckSchema.optional(),
  restart: z.string().optional(),
  mem_limit: z.string().optional(),
})
const composeSchema = z.object({
  services: z.record(z.string(), serviceSchema),
  networks: z.record(z.string(), z.unknown()),
  volumes: z.record(z.string(), z.unknown()),
})
export type Service = z.infer<typeof serviceSchema>

/** A variable in the text: `${NAME}`, `${NAME:-default}` or `${NAME:?message}`. */
export interface Reference {
  name: string
  /** Undefined when there is none. */
  fallback: string | undefined
  isRequired: boolean
}

const REFERENCE = /\$\{(\w+)(?::([-?])([^}]*))?\}/g

/** docker-compose.yml as text and parsed, before interpolation. */
export function readCompose(root: string): { text: string; compose: z.infer<typeof composeSchema> } {
  const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
  return { text, compose: composeSchema.parse(parse(text)) }
}

/** Every variable that `text` refers to, in order, with repetitions. */
export function referencesIn(text: string): Reference[] {
  return [...text.matchAll(REFERENCE)].map(([, name = '', sign, rest]) => ({
    name,
    fallback: sign === '-' ? rest : undefined,
    isRequired: sign === '?',
  }))
}

/** `text` as Compose passes it on. Throws when a required variable is unset. */
export function interpolate(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(REFERENCE, (_, name: string, sign?: string, rest?: string) => {
    const value = variables[name]
    if (value === undefined && sign === '?') throw new Error(`${name} is required: ${rest}`)
    return value ?? (sign === '-' ? (rest ?? '') : '')
  })
}

/** The environment that a service's program gets. */
export function environmentOf(
  service: Service,
  variables: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(service.environment).map(([name, value]) => [name, interpolate(value, variables)]),
  )
}
