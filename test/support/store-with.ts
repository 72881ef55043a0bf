import type { ObjectStore } from '../../apps/api/src/storage/object-store.ts'

/** A store with some of its methods replaced, for instance to fail as a real one may. */
export function storeWith(store: ObjectStore, replaced: Partial<ObjectStore>): ObjectStore {
  return new Proxy(store, {
    get: (target, name) => {
      const own = replaced[name as keyof ObjectStore] ?? target[name as keyof ObjectStore]
      return typeof own === 'function' ? own.bind(target) : own
    },
  })
}
