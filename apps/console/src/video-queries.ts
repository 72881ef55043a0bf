import { type QueryClient, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import {
  ApiError,
  cancelVideo,
  createVideo,
  deleteVideo,
  getContent,
  getCredits,
  getVideo,
  listModels,
  listVideos,
  POLL_MS,
  type Polled,
  UnreachableError,
} from './api-client.ts'
import { isFinished, type Video, type VideoRequest, type VideoVariant } from './video.ts'

const LIST_LIMIT = 20
/** Videos made elsewhere (a terminal, another tab) turn up within this. */
const LIST_REFRESH_MS = 10_000
const MODELS_REFRESH_MS = 30_000
/** How often an API that is away is asked again. */
const RECONNECT_MS = 2_000
/** A submission is sent again this often when nothing answers; its idempotency key makes that safe. */
const SUBMIT_TRIES = 8

const LIST_KEY = ['video-ids']
const CREDITS_KEY = ['credits']
const MODELS_KEY = ['models']
const videoKey = (id: string) => ['video', id]
const contentKey = (id: string, variant: VideoVariant) => ['content', id, variant]

/** Ids of the last 20 videos, newest first; each video itself is kept under its own key, so there is one copy of it. */
export function useVideoIds() {
  const client = useQueryClient()
  return useQuery({
    queryKey: LIST_KEY,
    queryFn: async ({ signal }) => {
      const askedAt = Date.now()
      const { body, pollAfterMs } = await listVideos(LIST_LIMIT, signal)
      for (const video of body.data) keepVideo(client, { body: video, pollAfterMs }, askedAt)
      return body.data.map((video) => video.id)
    },
    refetchInterval: (query) => (query.state.status === 'error' ? RECONNECT_MS : LIST_REFRESH_MS),
  })
}

/** One video, asked for as often as the API wishes until it is finished. Nothing is asked while the tab is hidden. */
export function useVideo(id: string) {
  const client = useQueryClient()
  return useQuery({
    queryKey: videoKey(id),
    queryFn: async ({ signal }) => {
      try {
        const polled = await getVideo(id, signal)
        if (isFinished(polled.body)) void client.invalidateQueries({ queryKey: CREDITS_KEY })
        return polled
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) dropVideo(client, id)
        throw error
      }
    },
    enabled: (query) => query.state.data === undefined || !isFinished(query.state.data.body),
    refetchInterval: (query) =>
      query.state.status === 'error' ? RECONNECT_MS : (query.state.data?.pollAfterMs ?? POLL_MS),
  })
}

/** The signed URL of a finished video's bytes, once `wanted`. It is kept while it plays; `refreshContent` draws a new one. */
export function useContent(id: string, variant: VideoVariant, wanted: boolean) {
  return useQuery({
    queryKey: contentKey(id, variant),
    queryFn: async ({ signal }) => (await getContent(id, variant, signal)).body,
    enabled: wanted,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchInterval: (query) =>
      query.state.error instanceof UnreachableError && query.state.data === undefined ? RECONNECT_MS : false,
  })
}

/** Draws a new signed URL, for one that expired. */
export function useRefreshContent() {
  const client = useQueryClient()
  return (id: string, variant: VideoVariant) =>
    client.fetchQuery({
      queryKey: contentKey(id, variant),
      queryFn: async ({ signal }) => (await getContent(id, variant, signal)).body,
      staleTime: 0,
    })
}

/** The models the account may ask for; asked again now and then, since workers come and go. */
export function useModels() {
  return useQuery({
    queryKey: MODELS_KEY,
    queryFn: async ({ signal }) => (await listModels(signal)).body.data,
    refetchInterval: (query) => (query.state.status === 'error' ? RECONNECT_MS : MODELS_REFRESH_MS),
  })
}

/** The account's balance. */
export function useCredits() {
  return useQuery({
    queryKey: CREDITS_KEY,
    queryFn: async ({ signal }) => (await getCredits(signal)).body.balance,
    refetchInterval: (query) => (query.state.status === 'error' ? RECONNECT_MS : false),
  })
}

/** Submits a video and puts it on top of the list. */
export function useCreateVideo() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ request, idempotencyKey }: { request: VideoRequest; idempotencyKey: string }) =>
      createVideo(request, idempotencyKey),
    retry: (tries, error) => error instanceof UnreachableError && tries < SUBMIT_TRIES,
    retryDelay: RECONNECT_MS,
    onSuccess: async (polled) => {
      // A list asked for before the submission would take the new video off again.
      await client.cancelQueries({ queryKey: LIST_KEY })
      client.setQueryData(videoKey(polled.body.id), polled)
      client.setQueryData<string[]>(LIST_KEY, (ids = []) => [
        polled.body.id,
        ...ids.filter((id) => id !== polled.body.id),
      ])
      void client.invalidateQueries({ queryKey: LIST_KEY })
      void client.invalidateQueries({ queryKey: CREDITS_KEY })
    },
  })
}

/** Cancels a video; what it answers is shown at once. */
export function useCancelVideo(id: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: () => cancelVideo(id),
    onSuccess: async (polled) => {
      await client.cancelQueries({ queryKey: videoKey(id) })
      client.setQueryData(videoKey(id), polled)
      void client.invalidateQueries({ queryKey: CREDITS_KEY })
    },
    onError: () => client.invalidateQueries({ queryKey: videoKey(id) }),
  })
}

/** Deletes a video and takes it off the list. */
export function useDeleteVideo(id: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: () => deleteVideo(id),
    onSuccess: async () => {
      await client.cancelQueries({ queryKey: LIST_KEY })
      dropVideo(client, id)
      void client.invalidateQueries({ queryKey: CREDITS_KEY })
    },
  })
}

/** A key for one submission; getRandomValues also works on plain http, where randomUUID does not exist. */
export function newIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')
}

function keepVideo(client: QueryClient, polled: Polled<Video>, askedAt: number): void {
  // A list that was asked for before the video's own last answer is older than it.
  const keptAt = client.getQueryState(videoKey(polled.body.id))?.dataUpdatedAt ?? 0
  if (keptAt <= askedAt) client.setQueryData(videoKey(polled.body.id), polled)
}

function dropVideo(client: QueryClient, id: string): void {
  client.setQueryData<string[]>(LIST_KEY, (ids = []) => ids.filter((kept) => kept !== id))
}
