import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { copyText } from './copy-text.ts'
import { videoFileName } from './file-name.ts'
import { randomSeed } from './generation-settings.ts'
import { saveFile } from './save-file.ts'
import { isFinished, type Video } from './video.ts'
import {
  newIdempotencyKey,
  useCancelVideo,
  useContent,
  useCreateVideo,
  useDeleteVideo,
  useRefreshContent,
} from './video-queries.ts'

/** A URL this near its end is drawn anew before it is followed. */
const EXPIRY_MARGIN_SECONDS = 5
const COPIED_MS = 1_600

/** What can be done with a video in its state. */
export function VideoActions({ video }: { video: Video }) {
  const [deletion, setDeletion] = useState<'idle' | 'asking' | 'kept'>('idle')
  const [copied, setCopied] = useState<'yes' | 'no' | null>(null)
  const cancel = useCancelVideo(video.id)
  const remove = useDeleteVideo(video.id)
  const again = useCreateVideo()
  const finished = isFinished(video)
  const fault = cancel.error ?? remove.error ?? again.error

  async function copyId() {
    setCopied((await copyText(video.id)) ? 'yes' : 'no')
    setTimeout(() => setCopied(null), COPIED_MS)
  }

  function makeAgain() {
    const { prompt, model, size, num_frames, num_steps } = video
    again.mutate({
      request: { prompt, model, size, num_frames, num_steps, seed: randomSeed() },
      idempotencyKey: newIdempotencyKey(),
    })
  }

  return (
    <div className="actions">
      {video.status === 'completed' && <Download video={video} />}
      {!finished && (
        <button
          type="button"
          className="quiet-button"
          aria-disabled={cancel.isPending}
          onClick={() => cancel.isPending || cancel.mutate()}
        >
          {cancel.isPending || cancel.isSuccess ? 'Cancelling…' : 'Cancel'}
        </button>
      )}
      {finished && (
        <button
          type="button"
          className="quiet-button"
          title="The same sentence with a new seed"
          aria-disabled={again.isPending}
          onClick={() => again.isPending || makeAgain()}
        >
          Again
        </button>
      )}
      <button type="button" className="quiet-button" title={video.id} onClick={() => void copyId()}>
        <span aria-live="polite">
          {copied === null ? 'Copy ID' : copied === 'yes' ? 'Copied' : 'Not copied'}
        </span>
      </button>
      {finished &&
        (deletion === 'asking' ? (
          <span className="asking">
            {/* biome-ignore lint/a11y/noAutofocus: the question takes the place of the button that had the focus */}
            <button type="button" className="quiet-button grave" autoFocus onClick={() => remove.mutate()}>
              Delete for good
            </button>
            <button type="button" className="quiet-button" onClick={() => setDeletion('kept')}>
              Keep
            </button>
          </span>
        ) : (
          <button
            type="button"
            className="quiet-button"
            // biome-ignore lint/a11y/noAutofocus: the focus comes back from the question
            autoFocus={deletion === 'kept'}
            onClick={() => setDeletion('asking')}
          >
            Delete
          </button>
        ))}
      {fault !== null && (
        <p className="fault" role="alert">
          {fault.message}
        </p>
      )}
    </div>
  )
}

function Download({ video }: { video: Video }) {
  // The player asks for the URL when it comes near the screen; until then there is no link to follow.
  const content = useContent(video.id, 'video', false)
  const refresh = useRefreshContent()
  const save = useMutation({
    mutationFn: async () => {
      const kept = content.data
      const isFresh = kept !== undefined && kept.expires_at - EXPIRY_MARGIN_SECONDS > Date.now() / 1_000
      await saveFile((isFresh ? kept : await refresh(video.id, 'video')).url, videoFileName(video))
    },
  })

  return (
    <>
      <a
        className="quiet-button download"
        href={content.data?.url}
        download={videoFileName(video)}
        aria-disabled={save.isPending}
        onClick={(event) => {
          event.preventDefault()
          if (!save.isPending) save.mutate()
        }}
      >
        Download
      </a>
      {save.error !== null && (
        <p className="fault" role="alert">
          {save.error.message}
        </p>
      )}
    </>
  )
}
