import type { PublicVideo } from '@sluice/shared/public-video'
import { ApiError } from '../api/api-client.ts'
import { useContent, useRenewContent } from '../api/queries.ts'

const WORDS = {
  head: 'Starts with this image',
  tail: 'Ends with this image',
  loop: 'Starts and ends with this image',
} as const

/** The image that a video was made from; nothing for a video of text alone. */
export function InputPicture({ video }: { video: PublicVideo }) {
  const isMadeFromImage = video.mode === 'i2v'
  const content = useContent(video.id, 'input_reference', { wanted: isMadeFromImage })
  const renew = useRenewContent()
  if (!isMadeFromImage) return null
  const isGone = content.error instanceof ApiError && content.data === undefined
  return (
    <div className="input-picture">
      {content.data !== undefined && (
        <img
          src={content.data.url}
          alt=""
          // Its address has expired.
          onError={() => renew(video.id, 'input_reference')}
        />
      )}
      <p>{isGone ? 'Its image is no longer kept' : WORDS[video.i2v_condition ?? 'head']}</p>
    </div>
  )
}
