import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import type { Polled } from './api-client.ts'
import { isCancelled, type Video } from './video.ts'

const SENTENCES = { queued: 'Queued', in_progress: 'Started', completed: 'Ready', failed: 'Failed' } as const

/** Tells a screen reader when a video changes state; percentages are left to the progress bars. Also keeps the tab's title. */
export function Announcer({ ids }: { ids: readonly string[] }) {
  const client = useQueryClient()
  const [sentence, setSentence] = useState('')
  const lastWords = useRef(new Map<string, string>())

  useEffect(() => {
    const shown = new Set(ids)
    function look() {
      const videos = ids.flatMap((id) => client.getQueryData<Polled<Video>>(['video', id])?.body ?? [])
      for (const video of videos) {
        const word = isCancelled(video) ? 'Cancelled' : SENTENCES[video.status]
        const before = lastWords.current.get(video.id)
        lastWords.current.set(video.id, word)
        const isNew = before === undefined && word === 'Queued'
        if (isNew || (before !== undefined && before !== word)) setSentence(`${word}: ${video.prompt}`)
      }
      const running = videos.find((video) => video.status === 'in_progress')
      document.title = running === undefined ? 'Sluice' : `${Math.round(running.progress)}% · Sluice`
    }
    look()
    return client.getQueryCache().subscribe((event) => {
      if (
        event.type === 'updated' &&
        event.query.queryKey[0] === 'video' &&
        shown.has(String(event.query.queryKey[1]))
      )
        look()
    })
  }, [client, ids])

  return (
    <p className="unseen" aria-live="polite">
      {sentence}
    </p>
  )
}
