import { requireNoTransaction } from './database.ts'

/**
 * `part`, with methods that throw when they are called from within a transaction, but for those that ask
 * nobody (`local`).
 */
export function outsideTransactions<Part extends object>(
  name: string,
  part: Part,
  local: readonly (keyof Part)[] = [],
): Part {
  return new Proxy(part, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      if (local.some((method) => method === property)) return value.bind(target)
      return (...given: unknown[]) => {
        requireNoTransaction(`${name} (${String(property)})`)
        return Reflect.apply(value, target, given)
      }
    },
  })
}
