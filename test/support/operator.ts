import type { Answer, TestApi } from './start-api.ts'

/** The operator of a test's API: calls with the admin key, and what most tests set up first. */
export interface Operator {
  call(method: string, path: string, body?: unknown): Promise<Answer>
  /** As `call`, but returns the body and throws on any status but 200. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever the API answered, and fail on what is missing
  must(method: string, path: string, body?: unknown): Promise<any>
  /** Makes an account with paid money and trial credit, and returns its id. */
  account(money?: { paid?: string; trial?: string }, settings?: Record<string, unknown>): Promise<string>
  /** Makes a key of an account. */
  key(accountId: string, settings?: Record<string, unknown>): Promise<{ id: string; key: string }>
  ledgerIsOk(): Promise<{ ok: boolean; violations: Record<string, number> }>
}

/** The operator of `api`, who calls it over HTTP. */
export function operatorOf(api: TestApi): Operator {
  const call: Operator['call'] = (method, path, body) => api.call(method, path, body, { key: api.adminKey })
  const must: Operator['must'] = async (method, path, body) => {
    const answer = await call(method, path, body)
    if (answer.status !== 200) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    }
    return answer.body
  }
  return {
    call,
    must,
    account: async ({ paid, trial } = {}, settings = {}) => {
      const { id } = await must('POST', '/v1/admin/accounts', { name: 'test', ...settings })
      if (paid !== undefined) await must('POST', `/v1/admin/accounts/${id}/credit`, { amount: paid })
      if (trial !== undefined) {
        await must('POST', `/v1/admin/accounts/${id}/credit`, { amount: trial, kind: 'trial' })
      }
      return id
    },
    key: (accountId, settings = {}) => must('POST', `/v1/admin/accounts/${accountId}/keys`, settings),
    ledgerIsOk: () => must('GET', '/v1/admin/ledger/check?since=beginning'),
  }
}
