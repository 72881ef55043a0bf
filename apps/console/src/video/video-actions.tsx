import type { PublicVideo } from '@sluice/shared/public-video'
import { type ReactNode, useState } from 'react'
import { faultWords } from '../api/fault-words.ts'
import { newIdempotencyKey, useCancelVideo, useMayWrite, useSubmit } from '../api/queries.ts'
import { isFinished } from '../api/video.ts'
import { BusyButton } from '../controls/busy-button.tsx'
import { randomSeed } from '../prompt/generation-settings.ts'
import { copyText } from './copy-text.ts'
import { DownloadLink } from './download-link.tsx'
import { useDeletion } from './use-deletion.ts'

const COPIED_MS = 1_600

/**
 * What can be done with a video in its status. Each button has a place of its own: what costs or destroys
 * never appears where another button was.
 */
export function VideoActions({ video }: { video: PublicVideo }) {
  const { deletion, begin, undo } = useDeletion(video.id)
  const mayWrite = useMayWrite()
  const cancel = useCancelVideo(video.id)
  if (deletion?.state === 'waiting' || deletion?.state === 'sending')
    return <UndoRow isSending={deletion.state === 'sending'} onUndo={undo} />
  const finished = isFinished(video)
  return (
    <div className="actions">
      <FirstPlace video={video}>
        {video.status === 'completed' && <DownloadLink video={video} />}
        {!finished && mayWrite && <CancelButton cancel={cancel} />}
      </FirstPlace>
      <CopyIdButton id={video.id} />
      {finished && mayWrite && <AgainButton video={video} />}
      {finished && mayWrite && (
        <button type="button" className="quiet-button" onClick={begin}>
          Delete
        </button>
      )}
      {cancel.error !== null && !finished && (
        <p className="fault" role="alert">
          It was not cancelled. {faultWords(cancel.error)}
        </p>
      )}
      {deletion?.state === 'failed' && (
        <p className="fault" role="alert">
          It was not deleted. {faultWords(deletion.error)}
        </p>
      )}
    </div>
  )
}

/** The place of Cancel, and later of the download, which costs nothing; it stays when it becomes empty. */
function FirstPlace({ video, children }: { video: PublicVideo; children: ReactNode }) {
  const [hadCancel] = useState(!isFinished(video))
  if (video.status === 'failed' && !hadCancel) return null
  return <span className="first-place">{children}</span>
}

function CancelButton({ cancel }: { cancel: ReturnType<typeof useCancelVideo> }) {
  const isUnderWay = cancel.isPending || cancel.isSuccess
  return (
    <BusyButton isBusy={isUnderWay} onPress={cancel.mutate}>
      {isUnderWay ? 'Cancelling…' : 'Cancel'}
    </BusyButton>
  )
}

/** A failed or cancelled video exactly once more; a completed one with everything the same but its seed. */
function AgainButton({ video }: { video: PublicVideo }) {
  const again = useSubmit()
  const isRetry = video.status === 'failed'
  const [idempotencyKey, setIdempotencyKey] = useState(newIdempotencyKey)
  const [seed, setSeed] = useState(randomSeed)

  function makeAgain() {
    const submission = isRetry ? { retryOf: video } : { remixOf: video, seed }
    again.mutate(
      { ...submission, idempotencyKey },
      {
        onSuccess: () => {
          setIdempotencyKey(newIdempotencyKey())
          setSeed(randomSeed())
        },
      },
    )
  }

  return (
    <>
      <BusyButton
        title={isRetry ? 'Exactly the same once more' : 'Everything the same, with a new seed'}
        isBusy={again.isPending}
        onPress={makeAgain}
      >
        {isRetry ? 'Try again' : 'Again'}
      </BusyButton>
      {again.error !== null && (
        <p className="fault" role="alert">
          {faultWords(again.error)}
        </p>
      )}
    </>
  )
}

function UndoRow({ isSending, onUndo }: { isSending: boolean; onUndo: () => void }) {
  return (
    <div className="actions" role="status">
      {isSending ? (
        <span className="leaving">Deleting…</span>
      ) : (
        <>
          {/* biome-ignore lint/a11y/noAutofocus: it replaces the button that had the focus */}
          <button type="button" className="quiet-button undo" autoFocus onClick={onUndo}>
            Undo
          </button>
          <span className="leaving">Deleted in a moment.</span>
        </>
      )}
    </div>
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
    <button type="button" className="quiet-button copy-id" title={id} onClick={() => void copy()}>
      <span aria-live="polite">
        {copied === null ? 'Copy ID' : copied === 'yes' ? 'Copied' : 'Not copied'}
      </span>
    </button>
  )
}
