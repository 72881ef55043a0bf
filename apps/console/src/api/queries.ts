import type { PublicVideo } from '@sluice/shared/public-video'
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
import { isFinished, type VideoRequest, type VideoVariant } from './video.ts'

const LIST_LIMIT = 20
/** Videos made elsewhere (a terminal, another tab) appear after this at the latest. */
const LIST_REFRESH_MS = 10_000
const MODELS_REFRESH_MS = 30_000
/** How often a call to an unreachable API is repeated. */
const RECONNECT_MS = 2_000
/** Repeats of a submission that nothing answered; its idempotency key makes them safe. */
const SUBMIT_REPEATS_MAX = 8

const LIST_KEY = ['video-ids']
const CREDITS_KEY = ['credits']
const MODELS_KEY = ['models']
const videoKey = (id: string) => ['video', id]
const contentKey = (id: string, variant: VideoVariant) => ['content', id, variant]

/** Ids of the last 20 videos, newest first. Each video is cached once, under its own key. */
export function useVideoIds() {
  const client = useQueryClient()
  return useQuery({
    queryKey: LIST_KEY,
    queryFn: async ({ signal }) => {
      const listedAt = Date.now()
      const { body, pollAfterMs } = await listVideos(LIST_LIMIT, signal)
      for (const video of body.data) cacheVideo(client, { body: video, pollAfterMs }, listedAt)
      return body.data.map((video) => video.id)
    },
    refetchInterval: (query) => (query.state.status === 'error' ? RECONNECT_MS : LIST_REFRESH_MS),
  })
}

/** One video, polled at the API's interval until it is finished, and not while the tab is hidden. */
export function useVideo(id: string) {
  const client = useQueryClient()
  return useQuery({
    queryKey: videoKey(id),
    queryFn: async ({ signal }) => {
      try {
        const polled = await getVideo(id, signal)
        if (isFinished(polled.body)) refetch(client, CREDITS_KEY)
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

/** The signed URL of a finished video's bytes, requested once `wanted`; useRefreshContent replaces it. */
export function useContent(id: string, variant: VideoVariant, { wanted }: { wanted: boolean }) {
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

/** Requests a new signed URL in place of one that expired. */
export function useRefreshContent() {
  const client = useQueryClient()
  return (id: string, variant: VideoVariant) =>
    client.fetchQuery({
      queryKey: contentKey(id, variant),
      queryFn: async ({ signal }) => (await getContent(id, variant, signal)).body,
      staleTime: 0,
    })
}

/** The models the account may use, read again every 30 s, since workers come and go. */
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

/** Submits a video and puts it at the top of the list. */
export function useCreateVideo() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: ({ request, idempotencyKey }: { request: VideoRequest; idempotencyKey: string }) =>
      createVideo(request, idempotencyKey),
    retry: (failures, error) => error instanceof UnreachableError && failures < SUBMIT_REPEATS_MAX,
    retryDelay: RECONNECT_MS,
    onSuccess: async (polled) => {
      // A list requested before the submission would remove the new video again.
      await client.cancelQueries({ queryKey: LIST_KEY })
      client.setQueryData(videoKey(polled.body.id), polled)
      client.setQueryData<string[]>(LIST_KEY, (ids = []) => [
        polled.body.id,
        ...ids.filter((id) => id !== polled.body.id),
      ])
      refetch(client, LIST_KEY)
      refetch(client, CREDITS_KEY)
    },
  })
}

/** Cancels a video and shows the answer at once. */
export function useCancelVideo(id: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: () => cancelVideo(id),
    onSuccess: async (polled) => {
      await client.cancelQueries({ queryKey: videoKey(id) })
      client.setQueryData(videoKey(id), polled)
      refetch(client, CREDITS_KEY)
    },
    onError: () => client.invalidateQueries({ queryKey: videoKey(id) }),
  })
}

/** Deletes a video and removes it from the list. */
export function useDeleteVideo(id: string) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: () => deleteVideo(id),
    onSuccess: async () => {
      await client.cancelQueries({ queryKey: LIST_KEY })
      dropVideo(client, id)
      refetch(client, CREDITS_KEY)
    },
  })
}

/** A key for one submission: 128 random bits. Over plain http there is no `crypto.randomUUID`. */
export function newIdempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')
}

/** Caches a video of the list, unless the cache holds an answer about it that is newer than the list. */
function cacheVideo(client: QueryClient, polled: Polled<PublicVideo>, listedAt: number): void {
  const cachedAt = client.getQueryState(videoKey(polled.body.id))?.dataUpdatedAt ?? 0
  if (cachedAt <= listedAt) client.setQueryData(videoKey(polled.body.id), polled)
}

function dropVideo(client: QueryClient, id: string): void {
  client.setQueryData<string[]>(LIST_KEY, (ids = []) => ids.filter((listed) => listed !== id))
}

/** Starts a query again, if it is in use; the query keeps its own error. */
function refetch(client: QueryClient, queryKey: string[]): void {
  client.invalidateQueries({ queryKey }).catch(reportError)
}
