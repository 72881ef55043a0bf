import { useQueryClient } from '@tanstack/react-query'
import { createContext, useContext, useEffect, useState, useSyncExternalStore } from 'react'
import { readKey } from '../api/key-store.ts'
import { removeVideo } from '../api/queries.ts'
import { type Deletion, Deletions, UNDO_MS } from './deletions.ts'

const NONE = new Deletions({ undoMs: UNDO_MS, send: async () => {} })
/** The deletions of the session; outside of one nothing is deleted. */
export const DeletionsContext = createContext(NONE)

/** The deletions of a session, asked for with the key of that session even when it ends meanwhile. */
export function useNewDeletions(): Deletions {
  const client = useQueryClient()
  const [deletions] = useState(() => {
    const { key } = readKey()
    return new Deletions({ undoMs: UNDO_MS, send: (id) => removeVideo(client, id, key) })
  })
  useEffect(() => {
    const flush = () => deletions.flush()
    window.addEventListener('pagehide', flush)
    return () => {
      window.removeEventListener('pagehide', flush)
      flush()
    }
  }, [deletions])
  return deletions
}

/** The deletion of one video, and how it is begun and undone. */
export function useDeletion(id: string) {
  const deletions = useContext(DeletionsContext)
  const deletion: Deletion | undefined = useSyncExternalStore(
    (listener) => deletions.onChange(listener),
    () => deletions.of(id),
  )
  return { deletion, begin: () => deletions.begin(id), undo: () => deletions.undo(id) }
}
