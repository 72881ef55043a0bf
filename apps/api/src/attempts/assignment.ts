import { type Assignment, UPLOAD_CONTENT_TYPES, type UploadName } from '@sluice/shared/attempt-contract'
import { SIGNED_URL_MS } from '@sluice/shared/time-limits'
import { inputImageKey } from '../inputs/input-store.ts'
import type { ObjectStore } from '../storage/object-store.ts'
import { attemptPrefix, OUTPUT_FILES, type Video } from '../videos/video.ts'

const URL_SECONDS = SIGNED_URL_MS / 1_000

type Uploads = Assignment['uploads']

/** Signed PUT URLs below the prefix of one start of an attempt. Whether that start counts is not asked. */
export async function signUploads(
  store: ObjectStore,
  { videoId, fence, claim }: { videoId: string; fence: number; claim: string },
): Promise<Uploads> {
  const prefix = attemptPrefix(videoId, fence, claim)
  const signPut = (name: UploadName) =>
    store.signPut(`${prefix}/${OUTPUT_FILES[name]}`, {
      contentType: UPLOAD_CONTENT_TYPES[name],
      expiresInSeconds: URL_SECONDS,
    })
  return {
    video: await signPut('video'),
    thumbnail: await signPut('thumbnail'),
    spritesheet: await signPut('spritesheet'),
    checkpoint: await signPut('checkpoint'),
    result: await signPut('result'),
  }
}

/**
 * What a worker gets for one attempt: the request, where to upload to, and signed GET URLs of the checkpoint
 * to resume from and of the input image, where there are any.
 */
export async function assignmentFor(
  store: ObjectStore,
  video: Pick<Video, 'id' | 'request' | 'checkpoint_key' | 'checkpoint_step'>,
  uploads: Uploads,
): Promise<Assignment> {
  const signGet = (key: string) => store.signGet(key, { expiresInSeconds: URL_SECONDS, audience: 'worker' })
  const { checkpoint_key: checkpointKey, checkpoint_step: step } = video
  const assignment = {
    request: video.request,
    uploads,
    resume: checkpointKey === null || step === null ? null : { step, url: await signGet(checkpointKey) },
    urls_expire_in_s: URL_SECONDS,
  }
  if (video.request.mode !== 'i2v') return assignment
  return { ...assignment, inputs: { reference: await signGet(inputImageKey(video.id)) } }
}
