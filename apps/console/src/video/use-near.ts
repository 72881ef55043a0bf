import { type RefObject, useEffect, useState } from 'react'

/** Whether the element is within `margin` (a CSS length) of what can be seen; `first` until that is known. */
export function useIsNear(
  box: RefObject<HTMLElement | null>,
  { margin, first }: { margin: string; first: boolean },
): boolean {
  const [isNear, setIsNear] = useState(first)
  useEffect(() => {
    if (box.current === null) return
    const observer = new IntersectionObserver(
      (entries) => setIsNear(entries.at(-1)?.isIntersecting === true),
      { rootMargin: `${margin} 0px` },
    )
    observer.observe(box.current)
    return () => observer.disconnect()
  }, [box, margin])
  return isNear
}
