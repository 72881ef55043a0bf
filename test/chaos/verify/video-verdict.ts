import type { Client } from '../load/client.ts'
import { type Clip, sha256 } from '../load/clips.ts'
import { hasEnded, note, type TrackedVideo } from '../load/tracked-video.ts'

/** Everything that one customer's view of its videos gets wrong: states, charges, files. */
export async function findBrokenVideos(
  client: Client,
  videos: readonly TrackedVideo[],
  references: ReadonlyMap<Clip, string>,
): Promise<string[]> {
  const problems: string[] = []
  for (const video of videos) {
    await lookAgain(client, video)
    if (video.status === 'completed') await checkFile(client, video, references)
    problems.push(...video.violations.map((violation) => `${video.id}: ${violation}`))
  }
  return problems
}

async function lookAgain(client: Client, video: TrackedVideo): Promise<void> {
  const { status, body } = await client.call('GET', `/v1/videos/${video.id}`)
  if (video.status === 'deleted') {
    if (status !== 404) video.violations.push(`deleted, and read with ${status}`)
    return
  }
  if (status !== 200) video.violations.push(`read with ${status} in the end`)
  else note(video, body, performance.now())
  if (!hasEnded(video)) video.violations.push(`${video.status} in the end`)
}

async function checkFile(
  client: Client,
  video: TrackedVideo,
  references: ReadonlyMap<Clip, string>,
): Promise<void> {
  const bytes = await client.content(video.id)
  if (bytes === null) video.violations.push('completed, and has no file')
  else if (sha256(bytes) !== references.get(video.clip)) video.violations.push('its file is not as ordered')
}
