/** `percent` is 0-100; `waiting` = not started yet. */
export function ProgressBar({
  percent,
  label,
  waiting = false,
}: {
  percent: number
  label: string
  waiting?: boolean
}) {
  const shown = Math.floor(Math.min(100, Math.max(0, percent)))
  return (
    <div
      className={waiting ? 'progress waiting' : 'progress'}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={shown}
    >
      <i style={{ transform: `scaleX(${shown / 100})` }} />
    </div>
  )
}
