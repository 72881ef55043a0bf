/** The outline of a card whose video is not known yet. */
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
