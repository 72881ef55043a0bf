/** The outline of a card, in place of a video that is still loading. */
export function VideoSkeleton() {
  return (
    <div className="video-card" aria-hidden="true">
      <div className="stage skeleton" />
      <div className="video-side">
        <p className="skeleton-text wide" />
        <p className="skeleton-text" />
      </div>
    </div>
  )
}
