/** Clicks that follow each other this soon at one place are one hand clicking on. */
const NEXT_MS_MAX = 1_000
/** How far such a hand moves, in pixels. */
const PLACE_PX = 16

/** Clicks at one place: what the first one hit is what all of them mean. */
export interface Streak {
  target: unknown
  x: number
  y: number
  atMs: number
}

/**
 * A click after others. It is `stray` when it goes on at a place where the first click hit something else: a
 * button took the other's place under the pointer, and is not what was meant.
 */
export function nextStreak(before: Streak | null, click: Streak): { streak: Streak; isStray: boolean } {
  const goesOn =
    before !== null &&
    click.atMs - before.atMs <= NEXT_MS_MAX &&
    Math.hypot(click.x - before.x, click.y - before.y) <= PLACE_PX
  if (!goesOn) return { streak: click, isStray: false }
  return { streak: { ...before, atMs: click.atMs }, isStray: click.target !== before.target }
}

/**
 * Keeps stray clicks from every button and link of the page: clicking on at Cancel or Delete hits nothing
 * that appears there. Clicks of a keyboard go where the focus is, and pass.
 */
export function dropStrayClicks(): void {
  let streak: Streak | null = null
  document.addEventListener(
    'click',
    (event) => {
      if (event.detail === 0 || !event.isTrusted) return
      const target = event.target instanceof Element ? event.target.closest('button, a[href]') : null
      const next = nextStreak(streak, { target, x: event.clientX, y: event.clientY, atMs: event.timeStamp })
      streak = next.streak
      if (!next.isStray || target === null) return
      event.preventDefault()
      event.stopPropagation()
    },
    { capture: true },
  )
  // Whoever did something else in between does not click on.
  for (const type of ['keydown', 'paste', 'drop']) {
    document.addEventListener(
      type,
      () => {
        streak = null
      },
      { capture: true },
    )
  }
}
