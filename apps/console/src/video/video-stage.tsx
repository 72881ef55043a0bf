import './video-stage.css'
import type { PublicVideo } from '@sluice/shared/public-video'
import { type CSSProperties, useState } from 'react'
import { useMayWrite } from '../api/queries.ts'
import { frameSize } from '../api/video.ts'
import { placeText } from '../text/place-text.ts'
import { waitRangeText } from '../text/time-text.ts'
import { endWords } from './end-words.ts'
import { ProgressBar } from './progress-bar.tsx'
import { VideoPlayer } from './video-player.tsx'

/** The picture, or words instead. It has the video's shape from the start, so that nothing moves later. */
export function VideoStage({ video }: { video: PublicVideo }) {
  const { width, height } = frameSize(video)
  // An earlier failure takes little room; one that happens while it is shown keeps it, so that nothing moves.
  const [compact] = useState(video.status === 'failed')
  const shape: CSSProperties & Record<'--ratio' | '--own-width', number | string> = {
    '--ratio': width / height,
    '--own-width': `${width}px`,
  }
  return (
    <div className={`stage stage-${video.status}${compact ? ' compact' : ''}`} style={shape}>
      <div className="frame">
        <StageContent video={video} />
      </div>
    </div>
  )
}

function StageContent({ video }: { video: PublicVideo }) {
  switch (video.status) {
    case 'queued':
      return (
        <div className="stage-words">
          <p className="stage-title">{placeText(video.queue_position)}</p>
          <p className="stage-note figures">{readyText(video)}</p>
          <ProgressBar percent={0} label={`Waiting: ${video.prompt}`} waiting />
        </div>
      )
    case 'in_progress':
      return (
        <div className="stage-words">
          <p className="stage-title figures">
            {Math.floor(video.progress)}
            <small>%</small>
          </p>
          <p className="stage-note figures">{readyText(video)}</p>
          <ProgressBar percent={Math.floor(video.progress)} label={`Progress: ${video.prompt}`} />
        </div>
      )
    case 'completed':
      return <VideoPlayer video={video} />
    case 'failed':
      return <EndNote video={video} />
  }
}

function EndNote({ video }: { video: PublicVideo }) {
  const { title, reason, reached, charged, next } = endWords(video)
  const mayWrite = useMayWrite()
  return (
    <div className="stage-words">
      <p className="stage-title">{title}</p>
      {reason !== null && <p className="stage-note">{reason}</p>}
      <p className="stage-note">
        {reached} {charged} {mayWrite && next}
      </p>
    </div>
  )
}

function readyText({ eta_seconds: eta, status }: PublicVideo): string {
  if (eta === null) return status === 'queued' ? 'waiting for a free machine' : 'working'
  return `ready in ${waitRangeText(eta.p50, eta.p90)}`
}
