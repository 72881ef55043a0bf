import type { PublicVideo } from '@sluice/shared/public-video'
import { type ReactNode, useState } from 'react'
import { newIdempotencyKey, useCancelVideo, useCreateVideo, useDeleteVideo } from '../api/queries.ts'
import { isFinished } from '../api/video.ts'
import { randomSeed } from '../prompt/generation-settings.ts'
import { copyText } from './copy-text.ts'
import { DownloadLink } from './download-link.tsx'

const COPIED_MS = 1_600

/** What can be done with a video in its status. */
export function VideoActions({ video }: { video: PublicVideo }) {
  const cancel = useCancelVideo(video.id)
  const remove = useDeleteVideo(video.id)
  const again = useCreateVideo()
  const finished = isFinished(video)
  const fault = cancel.error ?? remove.error ?? again.error

  function makeAgain() {
    const { prompt, model, size, num_frames, num_steps } = video
    again.mutate({
      request: { prompt, model, size, num_frames, num_steps, seed: randomSeed() },
      idempotencyKey: newIdempotencyKey(),
    })
  }

  return (
    <div className="actions">
      {video.status === 'completed' && <DownloadLink video={video} />}
      {!finished && (
        <BusyButton isBusy={cancel.isPending} onPress={cancel.mutate}>
          {cancel.isPending || cancel.isSuccess ? 'Cancelling…' : 'Cancel'}
        </BusyButton>
      )}
      {finished && (
        <BusyButton title="The same sentence with a new seed" isBusy={again.isPending} onPress={makeAgain}>
          Again
        </BusyButton>
      )}
      <CopyIdButton id={video.id} />
      {finished && <DeleteButton onConfirm={remove.mutate} />}
      {fault !== null && (
        <p className="fault" role="alert">
          {fault.message}
        </p>
      )}
    </div>
  )
}

interface BusyButtonProps {
  title?: string
  /** While busy it does nothing, but keeps the focus. */
  isBusy: boolean
  onPress: () => void
  children: ReactNode
}

function BusyButton({ title, isBusy, onPress, children }: BusyButtonProps) {
  return (
    <button
      type="button"
      className="quiet-button"
      title={title}
      aria-disabled={isBusy}
      onClick={() => isBusy || onPress()}
    >
      {children}
    </button>
  )
}

function CopyIdButton({ id }: { id: string }) {
  const [copied, setCopied] = useState<'yes' | 'no' | null>(null)

  /** Never rejects. */
  async function copy() {
    setCopied((await copyText(id)) ? 'yes' : 'no')
    setTimeout(() => setCopied(null), COPIED_MS)
  }

  return (
    <button type="button" className="quiet-button" title={id} onClick={() => void copy()}>
      <span aria-live="polite">
        {copied === null ? 'Copy ID' : copied === 'yes' ? 'Copied' : 'Not copied'}
      </span>
    </button>
  )
}

/** Asks before it deletes. */
function DeleteButton({ onConfirm }: { onConfirm: () => void }) {
  const [answer, setAnswer] = useState<'none' | 'asking' | 'keep'>('none')
  if (answer === 'asking') {
    return (
      <span className="asking">
        {/* biome-ignore lint/a11y/noAutofocus: the question replaces the button that had the focus */}
        <button type="button" className="quiet-button grave" autoFocus onClick={() => onConfirm()}>
          Delete for good
        </button>
        <button type="button" className="quiet-button" onClick={() => setAnswer('keep')}>
          Keep
        </button>
      </span>
    )
  }
  return (
    <button
      type="button"
      className="quiet-button"
      // biome-ignore lint/a11y/noAutofocus: the focus comes back from the question
      autoFocus={answer === 'keep'}
      onClick={() => setAnswer('asking')}
    >
      Delete
    </button>
  )
}
