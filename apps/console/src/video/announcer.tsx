import type { PublicVideo } from '@sluice/shared/public-video'
import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import type { Polled } from '../api/api-client.ts'
import { isCancelled } from '../api/video.ts'

const STATUS_WORDS = {
  queued: 'Queued',
  in_progress: 'Started',
  completed: 'Ready',
  failed: 'Failed',
} as const

/**
 * Announces each change of a video's status to screen readers (the progress bars announce percentages), and
 * shows the running video's progress in the tab's title.
 */
export function Announcer({ ids }: { ids: readonly string[] }) {
  const client = useQueryClient()
  const [sentence, setSentence] = useState('')
  const lastWordById = useRef(new Map<string, string>())

  useEffect(() => {
    const shown = new Set(ids)
    function announceChanges() {
      const videos = ids.flatMap((id) => client.getQueryData<Polled<PublicVideo>>(['video', id])?.body ?? [])
      for (const video of videos) {
        const word = isCancelled(video) ? 'Cancelled' : STATUS_WORDS[video.status]
        const before = lastWordById.current.get(video.id)
        lastWordById.current.set(video.id, word)
        const isNew = before === undefined && word === 'Queued'
        if (isNew || (before !== undefined && before !== word)) setSentence(`${word}: ${video.prompt}`)
      }
      const running = videos.find((video) => video.status === 'in_progress')
      document.title = running === undefined ? 'Sluice' : `${Math.round(running.progress)}% · Sluice`
    }
    announceChanges()
    return client.getQueryCache().subscribe((event) => {
      if (
        event.type === 'updated' &&
        event.query.queryKey[0] === 'video' &&
        shown.has(String(event.query.queryKey[1]))
      )
        announceChanges()
    })
  }, [client, ids])

  return (
    <p className="unseen" aria-live="polite">
      {sentence}
    </p>
  )
}
