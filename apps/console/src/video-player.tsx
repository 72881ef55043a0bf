import { useEffect, useRef, useState } from 'react'
import { ApiError } from './api-client.ts'
import type { Video } from './video.ts'
import { useContent, useRefreshContent } from './video-queries.ts'

/** Bytes are fetched when the card is this near to the screen. */
const NEAR = '400px'

/**
 * Plays while it can be seen, muted and in a loop; rests out of sight, when the viewer paused it, and where less motion is wished for.
 * A URL that expired is drawn anew, once per failure.
 */
export function VideoPlayer({ video }: { video: Video }) {
  const [near, setNear] = useState(false)
  const [started, setStarted] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const player = useRef<HTMLVideoElement>(null)
  const pausedByViewer = useRef(false)
  const restedAt = useRef(false)
  const failedUrl = useRef<string | null>(null)
  const content = useContent(video.id, 'video', near)
  const poster = useContent(video.id, 'thumbnail', near)
  const refresh = useRefreshContent()

  useEffect(() => {
    if (box.current === null) return
    const nearness = new IntersectionObserver(([entry]) => entry?.isIntersecting === true && setNear(true), {
      rootMargin: NEAR,
    })
    nearness.observe(box.current)
    return () => nearness.disconnect()
  }, [])

  const url = content.data?.url
  useEffect(() => {
    const element = player.current
    if (element === null || url === undefined) return
    const still = window.matchMedia('(prefers-reduced-motion: reduce)')
    const sight = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting === true) {
          restedAt.current = false
          // A browser that forbids autoplay leaves the poster and the controls.
          if (!pausedByViewer.current && !still.matches) element.play().catch(() => undefined)
        } else {
          restedAt.current = true
          element.pause()
        }
      },
      { threshold: 0.3 },
    )
    sight.observe(element)
    return () => sight.disconnect()
  }, [url])

  if (content.error instanceof ApiError && content.data === undefined) {
    return (
      <div className="stage-words">
        <p className="stage-title">No longer kept</p>
        <p className="stage-note">{content.error.message}</p>
      </div>
    )
  }

  return (
    <div ref={box} className={started ? 'player' : 'player skeleton'}>
      {url !== undefined && (
        <video
          ref={player}
          src={url}
          poster={poster.data?.url}
          aria-label={video.prompt}
          controls
          muted
          loop
          playsInline
          preload="auto"
          onLoadedData={() => setStarted(true)}
          onPlay={() => {
            pausedByViewer.current = false
          }}
          onPause={() => {
            if (!restedAt.current) pausedByViewer.current = true
          }}
          onError={() => {
            if (failedUrl.current === url) return
            failedUrl.current = url
            void refresh(video.id, 'video').catch(() => undefined)
          }}
        />
      )}
    </div>
  )
}
