import './video-list.css'
import { VideoCard } from './video-card.tsx'
import { VideoSkeleton } from './video-skeleton.tsx'

/** The newest videos, newest first; placeholders of the same height until they are known. */
export function VideoList({ ids }: { ids: readonly string[] | undefined }) {
  return (
    <section className="video-list" aria-label="Videos" aria-busy={ids === undefined}>
      {ids === undefined ? (
        <>
          <VideoSkeleton />
          <VideoSkeleton />
        </>
      ) : (
        ids.map((id) => <VideoCard key={id} id={id} />)
      )}
    </section>
  )
}
