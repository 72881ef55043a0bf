import './video-list.css'
import { useEffect, useRef } from 'react'
import { ApiError } from '../api/api-client.ts'
import { useAskNow, useOlderVideos, useVideoIds } from '../api/queries.ts'
import { countText, type VideoIds } from '../api/video-ids.ts'
import { FaultNote } from '../controls/fault-note.tsx'
import { useIsNear } from './use-near.ts'
import { VideoCard } from './video-card.tsx'
import { VideoSkeleton } from './video-skeleton.tsx'

/** Older videos are read once the end of the list is this near to the screen. */
const OLDER_NEAR = '1200px'
/** Cards farther away than this are empty boxes of their height, so that a long list takes little memory. */
const CARD_NEAR = '2400px'
/** The first cards are near from the start. */
const FIRST_CARDS = 6

/** All videos, newest first, the older ones as the viewer scrolls; placeholders until they are known. */
export function VideoList() {
  const { data, error } = useVideoIds()
  const askNow = useAskNow()
  return (
    <section className="video-list" aria-label="Videos" aria-busy={data === undefined && error === null}>
      {/* That the service is away stands in the header: nothing moves for it. */}
      {error !== null && (data === undefined || error instanceof ApiError) && (
        <FaultNote
          title={data === undefined ? 'The videos could not be read.' : 'The list may be out of date.'}
          error={error}
          onTry={askNow}
        />
      )}
      {data === undefined && error === null && (
        <>
          <VideoSkeleton />
          <VideoSkeleton />
        </>
      )}
      {data !== undefined && <Cards videos={data} />}
    </section>
  )
}

function Cards({ videos }: { videos: VideoIds }) {
  return (
    <>
      <p className="video-count figures">{countText(videos)}</p>
      {videos.ids.map((id, index) => (
        <CardPlace key={id} id={id} isFirst={index < FIRST_CARDS} />
      ))}
      {videos.hasMore && <OlderVideos count={videos.ids.length} />}
    </>
  )
}

/** The place of a card, which keeps its height while the card is far away. */
function CardPlace({ id, isFirst }: { id: string; isFirst: boolean }) {
  const box = useRef<HTMLDivElement>(null)
  const height = useRef<number | null>(null)
  const isNear = useIsNear(box, { margin: CARD_NEAR, first: isFirst })
  useEffect(() => {
    const element = box.current
    if (element === null || !isNear) return
    const observer = new ResizeObserver(() => {
      height.current = element.offsetHeight
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [isNear])
  return (
    <div ref={box} className="card-place" style={isNear ? undefined : { height: height.current ?? '20rem' }}>
      {isNear && <VideoCard id={id} />}
    </div>
  )
}

function OlderVideos({ count }: { count: number }) {
  const box = useRef<HTMLDivElement>(null)
  const isNear = useIsNear(box, { margin: OLDER_NEAR, first: false })
  const { mutate, isPending, error } = useOlderVideos()
  const isFailed = error !== null
  // biome-ignore lint/correctness/useExhaustiveDependencies: after each page it is looked at once more
  useEffect(() => {
    if (isNear && !isPending && !isFailed) mutate()
  }, [isNear, isPending, isFailed, count, mutate])
  return (
    <div ref={box}>
      {isFailed ? (
        <FaultNote title="Older videos could not be read." error={error} onTry={mutate} />
      ) : (
        <VideoSkeleton />
      )}
    </div>
  )
}
