import './video-card.css'
import { useState } from 'react'
import { useVideo } from '../api/queries.ts'
import { VideoActions } from './video-actions.tsx'
import { VideoFacts } from './video-facts.tsx'
import { VideoSkeleton } from './video-skeleton.tsx'
import { VideoStage } from './video-stage.tsx'

/** Longer prompts are folded, in characters. */
const PROMPT_LENGTH_MAX = 220

/** One video: its picture or progress, its prompt, its facts and its actions. */
export function VideoCard({ id }: { id: string }) {
  const video = useVideo(id).data?.body
  const [unfolded, setUnfolded] = useState(false)
  if (video === undefined) return <VideoSkeleton />
  const long = video.prompt.length > PROMPT_LENGTH_MAX
  return (
    <article
      className="video-card"
      aria-label={video.prompt}
      data-video={video.id}
      data-status={video.status}
    >
      <VideoStage video={video} />
      <div className="video-side">
        <h2 className={long && !unfolded ? 'video-prompt folded' : 'video-prompt'} dir="auto">
          {video.prompt}
        </h2>
        {long && (
          <button
            type="button"
            className="quiet-button unfold"
            aria-expanded={unfolded}
            onClick={() => setUnfolded(!unfolded)}
          >
            {unfolded ? 'Less' : 'More'}
          </button>
        )}
        <VideoFacts video={video} />
        <VideoActions video={video} />
      </div>
    </article>
  )
}
