import { z } from 'zod'
import type { Connection } from '../connection/find-connection.ts'

/** A call that the API refused or could not answer; the message says why. */
export class OperatorCallError extends Error {
  override name = 'OperatorCallError'
}

const ANSWER_MS_MAX = 30_000
const errorSchema = z.object({ error: z.object({ message: z.string(), code: z.string().nullish() }) })

/** One call, tried once, so that money is moved at most once. Answers the body as `schema` has it. Throws OperatorCallError. */
export async function callApi<S extends z.ZodType>(
  connection: Connection,
  schema: S,
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: Record<string, unknown>,
): Promise<z.output<S>> {
  const response = await fetch(connection.baseUrl + path, {
    method,
    headers: {
      authorization: `Bearer ${connection.key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  }).catch((error: unknown) => {
    throw new OperatorCallError(
      `${connection.baseUrl} cannot be reached: is the service running? See "npx sluice doctor"`,
      { cause: error },
    )
  })
  const answer: unknown = await response.json().catch(() => null)
  if (!response.ok) {
    const refusal = errorSchema.safeParse(answer)
    const reason = refusal.success
      ? `${refusal.data.error.message} [${response.status} ${refusal.data.error.code ?? ''}]`
      : `it answered ${response.status}`
    throw new OperatorCallError(reason)
  }
  const parsed = schema.safeParse(answer)
  if (!parsed.success)
    throw new OperatorCallError(
      `${method} ${path} did not answer as expected: ${parsed.error.issues[0]?.message ?? ''}`,
    )
  return parsed.data
}

/** The account to work on: the one named, else the one that the data dir's own key belongs to. */
export async function accountOf(named: string | undefined, own: () => Promise<Connection>): Promise<string> {
  if (named !== undefined) return named
  const { account_id } = await callApi(await own(), z.object({ account_id: z.string() }), 'GET', '/key')
  return account_id
}
