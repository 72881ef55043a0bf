import type { PublicVideo } from '@sluice/shared/public-video'
import { useMutation } from '@tanstack/react-query'
import { faultWords } from '../api/fault-words.ts'
import { useContent, useRefreshContent } from '../api/queries.ts'
import { videoFileName } from './file-name.ts'
import { saveFile } from './save-file.ts'

/** A signed URL that expires sooner than this is replaced before it is followed. */
const EXPIRY_MARGIN_SECONDS = 5

/** Saves the file under a name made of the prompt. A failure is shown beside the link. */
export function DownloadLink({ video }: { video: PublicVideo }) {
  // The player requests the URL when it comes near to the screen; until then the link has no address.
  const content = useContent(video.id, 'video', { wanted: false })
  const refresh = useRefreshContent()
  const save = useMutation({
    mutationFn: async () => {
      const known = content.data
      const isFresh = known !== undefined && known.expires_at - EXPIRY_MARGIN_SECONDS > Date.now() / 1_000
      await saveFile((isFresh ? known : await refresh(video.id, 'video')).url, videoFileName(video))
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
          {faultWords(save.error)}
        </p>
      )}
    </>
  )
}
