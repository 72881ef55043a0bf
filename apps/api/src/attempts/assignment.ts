import { type Assignment, UPLOAD_CONTENT_TYPES, type UploadName } from '@sluice/shared/attempt-contract'
import { inputKey } from '../inputs/input-store.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { attemptPrefix, OUTPUT_FILES, type Video } from '../videos/video.ts'

/** Longer than any video takes; a worker whose URLs expired all the same asks again by repeating `taken`. */
const URL_SECONDS = 6 * 3_600

/** What a worker gets for one attempt: the request, signed PUT URLs below the attempt's own prefix, and the checkpoint to go on from. */
export async function assignmentFor(store: ObjectStore, video: Video, claim: string): Promise<Assignment> {
  const prefix = attemptPrefix(video.id, video.fence, claim)
  const signPut = (name: UploadName) =>
    store.signPut(`${prefix}/${OUTPUT_FILES[name]}`, {
      contentType: UPLOAD_CONTENT_TYPES[name],
      expiresInSeconds: URL_SECONDS,
    })
  return {
    request: video.request,
    uploads: {
      video: await signPut('video'),
      thumbnail: await signPut('thumbnail'),
      spritesheet: await signPut('spritesheet'),
      checkpoint: await signPut('checkpoint'),
      result: await signPut('result'),
    },
    resume:
      video.checkpoint_key === null || video.checkpoint_step === null
        ? null
        : {
            step: video.checkpoint_step,
            url: await store.signGet(video.checkpoint_key, {
              expiresInSeconds: URL_SECONDS,
              audience: 'worker',
            }),
          },
    ...(video.request.mode !== 'i2v'
      ? {}
      : {
          inputs: {
            reference: await store.signGet(inputKey(video.id), {
              expiresInSeconds: URL_SECONDS,
              audience: 'worker',
            }),
          },
        }),
  }
}
