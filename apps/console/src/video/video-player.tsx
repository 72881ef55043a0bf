import type { PublicVideo } from '@sluice/shared/public-video'
import { type RefObject, useEffect, useRef, useState } from 'react'
import { ApiError } from '../api/api-client.ts'
import { faultWords } from '../api/fault-words.ts'
import { useContent, useRenewContent } from '../api/queries.ts'
import { useIsNear } from './use-near.ts'

/** The video is fetched once the card is this near to the screen, and given up again when it is not. */
const NEAR = '400px'
/** The share of the player that must be visible for it to play. */
const VISIBLE_SHARE = 0.3

/** Plays a finished video, muted and in a loop. */
export function VideoPlayer({ video }: { video: PublicVideo }) {
  const [hasLoaded, setHasLoaded] = useState(false)
  const box = useRef<HTMLDivElement>(null)
  const player = useRef<HTMLVideoElement>(null)
  const wanted = useIsNear(box, { margin: NEAR, first: false })
  const content = useContent(video.id, 'video', { wanted })
  const poster = useContent(video.id, 'thumbnail', { wanted })
  const url = content.data?.url
  const playback = usePlayWhileVisible(player, wanted ? url : undefined)
  const renewUrl = useRenewedUrl(video.id)
  const renew = useRenewContent()

  if (content.error !== null && content.data === undefined)
    return <NoPicture error={content.error} onTry={() => renew(video.id, 'video')} />

  return (
    <div ref={box} className={hasLoaded && wanted ? 'player' : 'player skeleton'}>
      {url !== undefined && wanted && (
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
          onLoadedData={() => setHasLoaded(true)}
          onPlay={playback.onPlay}
          onPause={playback.onPause}
          onError={() => renewUrl(url)}
        />
      )}
    </div>
  )
}

function NoPicture({ error, onTry }: { error: Error; onTry: () => void }) {
  const isGone = error instanceof ApiError && [404, 410].includes(error.status)
  return (
    <div className="stage-words">
      <p className="stage-title">{isGone ? 'No longer kept' : 'Cannot be shown now'}</p>
      <p className="stage-note">{faultWords(error)}</p>
      {!isGone && (
        <p>
          <button type="button" className="quiet-button" onClick={onTry}>
            Try now
          </button>
        </p>
      )}
    </div>
  )
}

/**
 * Plays while the player can be seen and pauses it otherwise. It does not play again by itself after the
 * viewer paused it, nor where the viewer's system asks for less motion. The handlers go to the player.
 */
function usePlayWhileVisible(player: RefObject<HTMLVideoElement | null>, url: string | undefined) {
  const isPausedByViewer = useRef(false)
  const isOutOfSight = useRef(false)

  useEffect(() => {
    const element = player.current
    if (element === null || url === undefined) return
    const lessMotion = window.matchMedia('(prefers-reduced-motion: reduce)')
    const observer = new IntersectionObserver(
      ([entry]) => {
        isOutOfSight.current = entry?.isIntersecting !== true
        if (isOutOfSight.current) element.pause()
        else if (!isPausedByViewer.current && !lessMotion.matches) {
          // A browser that forbids autoplay leaves the poster and the controls.
          element.play().catch(() => undefined)
        }
      },
      { threshold: VISIBLE_SHARE },
    )
    observer.observe(element)
    return () => observer.disconnect()
  }, [player, url])

  return {
    onPlay: () => {
      isPausedByViewer.current = false
    },
    onPause: () => {
      if (!isOutOfSight.current) isPausedByViewer.current = true
    },
  }
}

/** Returns a function that replaces a URL which failed, probably because it expired: once for each URL. */
function useRenewedUrl(videoId: string): (failedUrl: string) => void {
  const lastFailedUrl = useRef<string | null>(null)
  const renew = useRenewContent()
  return (failedUrl) => {
    if (lastFailedUrl.current === failedUrl) return
    lastFailedUrl.current = failedUrl
    renew(videoId, 'video')
  }
}
