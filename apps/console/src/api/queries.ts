import type { PublicQuote } from '@sluice/shared/public-quote'
import type { PublicVideo } from '@sluice/shared/public-video'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import {
  keepPreviousData,
  type QueryClient,
  useMutation,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query'
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
  quoteVideo,
  readOwnKey,
  remixVideo,
  retryVideo,
  UnreachableError,
} from './api-client.ts'
import { RECONNECT_MS, repeatAfterMs } from './repeat-after.ts'
import { isFinished, type VideoRequest, type VideoVariant } from './video.ts'
import { type VideoIds, withNew, withNewest, withOlder, without } from './video-ids.ts'

const PAGE_LIMIT = 20
/** Videos made elsewhere (a terminal, another tab) appear after this at the latest. */
const LIST_REFRESH_MS = 10_000
const MODELS_REFRESH_MS = 30_000
/** A quote's place and time are those of now: it is asked for again after this. */
const QUOTE_REFRESH_MS = 20_000
/** Repeats of a submission that nothing answered; its idempotency key makes them safe. */
const SUBMIT_REPEATS_MAX = 3

const LIST_KEY = ['video-ids']
const CREDITS_KEY = ['credits']
const MODELS_KEY = ['models']
const OWN_KEY_KEY = ['own-key']
const videoKey = (id: string) => ['video', id]
const contentKey = (id: string, variant: VideoVariant) => ['content', id, variant]

/**
 * Ids of the videos, newest first: the newest page, read again every few seconds, and the older ones that
 * useOlderVideos added. Each video is cached once, under its own key.
 */
export function useVideoIds() {
  const client = useQueryClient()
  return useQuery({
    queryKey: LIST_KEY,
    queryFn: async ({ signal }) => {
      const page = await readPage(client, undefined, signal)
      return withNewest(client.getQueryData<VideoIds>(LIST_KEY), page)
    },
    refetchInterval: (query) =>
      query.state.status === 'error' ? repeatAfterMs(query.state.error) : LIST_REFRESH_MS,
  })
}

/** Reads the page behind the last known video. */
export function useOlderVideos() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: async () => {
      const after = client.getQueryData<VideoIds>(LIST_KEY)?.ids.at(-1)
      return readPage(client, after)
    },
    onSuccess: (page) => {
      client.setQueryData<VideoIds>(LIST_KEY, (known) => withOlder(known, page))
    },
  })
}

/** Asks for everything once more, now. */
export function useAskNow() {
  const client = useQueryClient()
  return () => {
    client.refetchQueries({ type: 'active' }).catch(reportError)
  }
}

/** Whose key is signed in and what it may do. */
export function useOwnKey() {
  return useQuery({
    queryKey: OWN_KEY_KEY,
    queryFn: ({ signal }) => readOwnKey(signal),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: (query) => (query.state.status === 'error' ? repeatAfterMs(query.state.error) : false),
  })
}

/** False once it is known that the key may look, but neither make, cancel nor delete. */
export function useMayWrite(): boolean {
  return useOwnKey().data?.scopes.includes('videos:write') ?? true
}

/**
 * What the request would cost and how long it would take. The last answer stays until the next one is there;
 * an answer to an earlier request never replaces a later one's.
 */
export function useQuote(request: VideoRequest, { wanted }: { wanted: boolean }) {
  return useQuery({
    queryKey: ['quote', request],
    queryFn: ({ signal }) => quoteVideo(request, signal),
    enabled: wanted,
    placeholderData: keepPreviousData,
    gcTime: QUOTE_REFRESH_MS,
    refetchInterval: (query) =>
      query.state.status === 'error' ? repeatAfterMs(query.state.error) : QUOTE_REFRESH_MS,
  })
}

/** What the request would cost in each tier, one call after the other; asked for once it is `wanted`. */
export function useTierPrices(request: VideoRequest, { wanted }: { wanted: boolean }) {
  const { service_tier: _, ...rest } = request
  return useQuery({
    queryKey: ['tier-prices', rest],
    queryFn: async ({ signal }) => {
      const prices: Partial<Record<ServiceTier, PublicQuote['cost']>> = {}
      for (const tier of SERVICE_TIERS)
        prices[tier] = (await quoteVideo({ ...rest, service_tier: tier }, signal)).cost
      return prices
    },
    enabled: wanted,
    placeholderData: keepPreviousData,
    staleTime: QUOTE_REFRESH_MS,
    refetchInterval: (query) => (query.state.status === 'error' ? repeatAfterMs(query.state.error) : false),
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
      query.state.status === 'error'
        ? repeatAfterMs(query.state.error)
        : (query.state.data?.pollAfterMs ?? POLL_MS),
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
      isPassing(query.state.error) && query.state.data === undefined
        ? repeatAfterMs(query.state.error)
        : false,
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

/** As useRefreshContent, for who only looks: the query keeps the error. */
export function useRenewContent() {
  const refresh = useRefreshContent()
  return (id: string, variant: VideoVariant): void => {
    refresh(id, variant).catch(() => undefined)
  }
}

/** The models the account may use, read again every 30 s, since workers come and go. */
export function useModels() {
  return useQuery({
    queryKey: MODELS_KEY,
    queryFn: async ({ signal }) => (await listModels(signal)).body.data,
    refetchInterval: (query) =>
      query.state.status === 'error' ? repeatAfterMs(query.state.error) : MODELS_REFRESH_MS,
  })
}

/** The account's balance. */
export function useCredits() {
  return useQuery({
    queryKey: CREDITS_KEY,
    queryFn: async ({ signal }) => (await getCredits(signal)).body.balance,
    refetchInterval: (query) => (query.state.status === 'error' ? repeatAfterMs(query.state.error) : false),
  })
}

/** A submission: a request of its own, or an earlier video once more. */
export type Submission = { idempotencyKey: string } & (
  | { request: VideoRequest }
  | { retryOf: PublicVideo }
  | { remixOf: PublicVideo; seed: number }
)

/** Submits a video and puts it at the top of the list. A submission that nothing answered is sent again. */
export function useSubmit() {
  const client = useQueryClient()
  return useMutation({
    mutationFn: (submission: Submission) => send(submission),
    retry: (failures, error) => error instanceof UnreachableError && failures <= SUBMIT_REPEATS_MAX,
    retryDelay: RECONNECT_MS,
    onSuccess: async (polled) => {
      // A list requested before the submission would remove the new video again.
      await client.cancelQueries({ queryKey: LIST_KEY })
      client.setQueryData(videoKey(polled.body.id), polled)
      client.setQueryData<VideoIds>(LIST_KEY, (known) => withNew(known, polled.body.id))
      refetch(client, LIST_KEY)
      refetch(client, CREDITS_KEY)
    },
  })
}

function send(submission: Submission): Promise<Polled<PublicVideo>> {
  const { idempotencyKey } = submission
  if ('request' in submission) return createVideo(submission.request, idempotencyKey)
  if ('retryOf' in submission) return retryVideo(submission.retryOf.id, idempotencyKey)
  const { remixOf, seed } = submission
  return remixVideo(remixOf.id, { prompt: remixOf.prompt, seed }, idempotencyKey)
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

/** Deletes a video with `key` and removes it from the list. */
export async function removeVideo(client: QueryClient, id: string, key: string | null): Promise<void> {
  try {
    await deleteVideo(id, key)
  } catch (error) {
    // Somebody else deleted it: that is what was wanted.
    if (!(error instanceof ApiError && error.status === 404)) throw error
  }
  await client.cancelQueries({ queryKey: LIST_KEY })
  dropVideo(client, id)
  refetch(client, LIST_KEY)
  refetch(client, CREDITS_KEY)
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
  client.setQueryData<VideoIds>(LIST_KEY, (known) => without(known, id))
}

async function readPage(
  client: QueryClient,
  after: string | undefined,
  signal?: AbortSignal,
): Promise<VideoIds> {
  const listedAt = Date.now()
  const place = after === undefined ? {} : { after }
  const { body, pollAfterMs } = await listVideos({ limit: PAGE_LIMIT, ...place }, signal)
  for (const video of body.data) cacheVideo(client, { body: video, pollAfterMs }, listedAt)
  return { ids: body.data.map((video) => video.id), hasMore: body.has_more }
}

/** Whether the same call may well succeed a little later. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof UnreachableError ||
    (error instanceof ApiError && (error.status === 429 || error.status >= 500))
  )
}

/** Starts a query again, if it is in use; the query keeps its own error. */
function refetch(client: QueryClient, queryKey: string[]): void {
  client.invalidateQueries({ queryKey }).catch(reportError)
}
