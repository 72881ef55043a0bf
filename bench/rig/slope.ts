/** A straight line through points: how much y grows for each x, and how sure that is. */
export interface Slope {
  perX: number
  /** Its standard error: a slope of less than two of these is no slope that can be seen. */
  error: number
}

/** The line of least squares. */
export function slopeOf(points: readonly { x: number; y: number }[]): Slope {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const meanX = mean(points.map(({ x }) => x))
  const meanY = mean(points.map(({ y }) => y))
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  const perX = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
  const rest = points.reduce((sum, { x, y }) => sum + (y - meanY - perX * (x - meanX)) ** 2, 0)
  return { perX, error: Math.sqrt(rest / Math.max(1, points.length - 2) / spread) }
}
