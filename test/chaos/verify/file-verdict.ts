import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ListObjectsCommand, S3Client } from '@aws-sdk/client-s3'
import { eventually } from '../../support/eventually.ts'
import { filesBelow } from '../../support/files-below.ts'
import type { Installation } from '../machine/installation.ts'
import { withDatabase } from './database-verdict.ts'

/** How long the sweep may take once everything is old enough for it. */
const SWEEP_MS_MAX = 120_000
/** It takes up a few videos a second. */
const SWEEP_MS_PER_VIDEO = 150
/** An upload that a dead process left half done is removed after 5 minutes. */
const HALF_DONE_MS_MAX = 600_000
/** All that a customer can still ask for of a completed video. */
const KEPT_FILES = ['video.mp4', 'thumbnail.webp', 'spritesheet.jpg']

/**
 * Makes every ended video a week older than it is, waits until the sweep has done its work, and returns the
 * objects that nobody can ask for any more, and those that are missing.
 */
export async function findMisplacedObjects(installation: Installation): Promise<string[]> {
  const videos = await ageVideos(installation)
  const expected = new Set(await expectedKeys(installation))
  // An S3 server that is asked for a list while it deletes may stumble; it is asked again.
  const surplus = async () =>
    (await listKeys(installation).catch(() => ['the list could not be read'])).filter(
      (key) => !expected.has(key),
    )
  const left = await eventually(
    surplus,
    (keys) => keys.length === 0,
    SWEEP_MS_MAX + videos * SWEEP_MS_PER_VIDEO,
  ).catch(surplus)
  const found = new Set(await listKeys(installation))
  const missing = [...expected].filter((key) => !found.has(key))
  return [
    ...(left.length === 0 ? [] : [`${left.length} orphan objects: ${left.slice(0, 5).join(', ')}`]),
    ...(missing.length === 0
      ? []
      : [`${missing.length} objects are gone: ${missing.slice(0, 5).join(', ')}`]),
  ]
}

/** The sweep waits for signed URLs to expire; time is moved here, not waited for. Returns how many. */
async function ageVideos({ adminUrl }: Installation): Promise<number> {
  return withDatabase(adminUrl(), async (client) => {
    const { rowCount } = await client.query(`
      update video
      set created_at = created_at - interval '7 days', started_at = started_at - interval '7 days',
          ended_at = ended_at - interval '7 days', deleted_at = deleted_at - interval '7 days'
      where ended_at is not null`)
    return rowCount ?? 0
  })
}

async function expectedKeys({ adminUrl }: Installation): Promise<string[]> {
  return withDatabase(adminUrl(), async (client) => {
    const { rows } = await client.query<{ output_prefix: string }>(
      `select output_prefix from video where status = 'completed' and deleted_at is null`,
    )
    return rows.flatMap(({ output_prefix: prefix }) => KEPT_FILES.map((file) => `${prefix}/${file}`))
  })
}

/** Every object of the store. The disk store's own files, whose names hold a `~` or a dot first, are none. */
async function listKeys(installation: Installation): Promise<string[]> {
  const { objectDir } = installation
  if (objectDir !== null) {
    return (await filesBelow(objectDir)).filter(
      (key) => key.startsWith('videos/') || key.startsWith('inputs/'),
    )
  }
  const wire = installation.wires.find(({ name }) => name === 'service to s3')
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${wire?.port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
  })
  try {
    const keys: string[] = []
    // By marker: the server of these tests cannot make continuation tokens under a newer OpenSSL.
    for (let isTruncated = true; isTruncated; ) {
      const marker = keys.at(-1)
      const page = await client.send(
        new ListObjectsCommand({ Bucket: 'sluice', ...(marker === undefined ? {} : { Marker: marker }) }),
      )
      keys.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ''))
      isTruncated = page.IsTruncated ?? false
    }
    return keys.filter((key) => key.startsWith('videos/') || key.startsWith('inputs/'))
  } finally {
    client.destroy()
  }
}

/** What workers left behind: unanswered reports, half-done work, temporary files. */
export async function findLeftFiles({ workerDataDirs, objectDir }: Installation): Promise<string[]> {
  const folders = workerDataDirs.flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => /^worker(-\d+)?$/.test(name))
      .flatMap((name) => ['spool', 'work'].map((part) => join(dir, name, part))),
  )
  const lists = folders.map(async (folder) => (await filesBelow(folder)).map((path) => join(folder, path)))
  const halfDone = objectDir === null ? [] : await halfDoneUploads(join(objectDir, '~unfinished'))
  const files = [...(await Promise.all(lists)).flat(), ...halfDone]
  return files.length === 0 ? [] : [`${files.length} files were left behind: ${files.slice(0, 5).join(', ')}`]
}

async function halfDoneUploads(folder: string): Promise<string[]> {
  const files = (await filesBelow(folder)).map((path) => join(folder, path))
  return files.filter((path) => Date.now() - statSync(path).mtimeMs > HALF_DONE_MS_MAX)
}
