import './video-card.css'
import { useState } from 'react'
import { ApiError } from '../api/api-client.ts'
import { faultWords } from '../api/fault-words.ts'
import { useAskNow, useVideo } from '../api/queries.ts'
import { isFinished } from '../api/video.ts'
import { FaultNote } from '../controls/fault-note.tsx'
import { InputPicture } from './input-picture.tsx'
import { useDeletion } from './use-deletion.ts'
import { VideoActions } from './video-actions.tsx'
import { VideoFacts } from './video-facts.tsx'
import { VideoSkeleton } from './video-skeleton.tsx'
import { VideoStage } from './video-stage.tsx'

/** Longer prompts are folded, in characters. */
const PROMPT_LENGTH_MAX = 220

/** One video: its picture or progress, its prompt, its facts and its actions. */
export function VideoCard({ id }: { id: string }) {
  const { data, error } = useVideo(id)
  const askNow = useAskNow()
  const { deletion } = useDeletion(id)
  const [unfolded, setUnfolded] = useState(false)
  const video = data?.body
  if (video === undefined) {
    if (error === null) return <VideoSkeleton />
    return (
      <div className="video-card">
        <FaultNote title="This video could not be read." error={error} onTry={askNow} />
      </div>
    )
  }
  const long = video.prompt.length > PROMPT_LENGTH_MAX
  const isLeaving = deletion !== undefined && deletion.state !== 'failed'
  return (
    <article
      className={isLeaving ? 'video-card leaving-card' : 'video-card'}
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
        <InputPicture video={video} />
        <VideoFacts video={video} />
        {error instanceof ApiError && !isFinished(video) && (
          <p className="fault" role="alert">
            Perhaps not up to date. {faultWords(error)}
          </p>
        )}
        <VideoActions video={video} />
      </div>
    </article>
  )
}
