/** The ids of the videos that are known, newest first, and whether older ones follow. */
export interface VideoIds {
  ids: string[]
  hasMore: boolean
}

/**
 * The known videos after the newest page was read again: the page, and of the older ones those that stand
 * behind its last video. Without a common video nothing is known of what lies between, so the older ones are
 * left out and read again by scrolling.
 */
export function withNewest(known: VideoIds | undefined, page: VideoIds): VideoIds {
  const last = page.ids.at(-1)
  const at = last === undefined || known === undefined ? -1 : known.ids.indexOf(last)
  if (known === undefined || at === -1 || !page.hasMore) return page
  return {
    ids: [...page.ids, ...known.ids.slice(at + 1)],
    hasMore: at + 1 < known.ids.length ? known.hasMore : page.hasMore,
  }
}

/** The known videos and the page behind them. */
export function withOlder(known: VideoIds | undefined, page: VideoIds): VideoIds {
  const before = new Set(known?.ids)
  return { ids: [...before, ...page.ids.filter((id) => !before.has(id))], hasMore: page.hasMore }
}

/** The known videos with a new one in front. */
export function withNew(known: VideoIds | undefined, id: string): VideoIds {
  return { ids: [id, ...without(known, id).ids], hasMore: known?.hasMore ?? false }
}

/** The known videos without this one. */
export function without(known: VideoIds | undefined, id: string): VideoIds {
  return { ids: (known?.ids ?? []).filter((listed) => listed !== id), hasMore: known?.hasMore ?? false }
}

/** How many videos are shown: `1 video`, `All 50 videos`, `40 videos so far`. */
export function countText({ ids, hasMore }: VideoIds): string {
  const count = `${ids.length.toLocaleString('en')} ${ids.length === 1 ? 'video' : 'videos'}`
  if (hasMore) return `${count} so far`
  return ids.length < 2 ? count : `All ${count}`
}
