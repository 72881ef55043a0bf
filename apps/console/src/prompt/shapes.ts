import type { PublicModel } from '@sluice/shared/public-model'
import type { Orientation } from './generation-settings.ts'

/** Aspect ratios by the names that people know them by. */
const RATIOS = [
  { name: '16:9', ratio: 16 / 9 },
  { name: '3:2', ratio: 3 / 2 },
  { name: '4:3', ratio: 4 / 3 },
  { name: '1:1', ratio: 1 },
  { name: '2:1', ratio: 2 },
  { name: '2.39:1', ratio: 2.39 },
] as const

/** A size that a model makes, under the name of its aspect ratio. */
export interface Shape {
  name: string
  /** `WIDTHxHEIGHT` */
  size: string
  width: number
  height: number
}

type Resolution = Pick<PublicModel['resolutions'][number], 'sizes'>

/**
 * The shapes of one orientation that a resolution has: for each ratio its nearest size. Of a resolution with
 * the other orientation alone, those.
 */
export function shapesOf({ sizes }: Resolution, orientation: Orientation): Shape[] {
  const all = sizes.map(parseSize)
  const wanted = all.filter(
    (size) => size.width === size.height || isPortrait(size) === (orientation === 'portrait'),
  )
  const isSquareAlone = wanted.every(({ width, height }) => width === height)
  const offered = isSquareAlone ? all : wanted
  return RATIOS.flatMap(({ name, ratio }) => {
    const [nearest] = offered
      .filter((size) => ratioName(size) === name)
      .toSorted((a, b) => distance(a, ratio) - distance(b, ratio))
    return nearest === undefined ? [] : [{ ...nearest, name }]
  })
}

/** Whether a resolution has sizes of both orientations. */
export function canTurn({ sizes }: Resolution): boolean {
  const all = sizes.map(parseSize)
  return all.some(isPortrait) && all.some(({ width, height }) => width > height)
}

/** Of these shapes the one with that name, or the nearest to it; undefined when there are none. */
export function shapeNamed(shapes: readonly Shape[], name: string | null): Shape | undefined {
  const wanted = RATIOS.find((candidate) => candidate.name === name) ?? RATIOS[0]
  return shapes.toSorted((a, b) => distance(a, wanted.ratio) - distance(b, wanted.ratio))[0]
}

/** The name and orientation of the shape that is nearest to an image's. */
export function shapeLike(
  resolution: Resolution,
  image: { width: number; height: number },
): { name: string; orientation: Orientation } | null {
  const orientation = image.height > image.width ? 'portrait' : 'landscape'
  const [nearest] = shapesOf(resolution, orientation).toSorted(
    (a, b) => turnedDistance(a, image) - turnedDistance(b, image),
  )
  return nearest === undefined ? null : { name: nearest.name, orientation }
}

function parseSize(size: string): Omit<Shape, 'name'> {
  const [width = 0, height = 0] = size.split('x').map(Number)
  return { size, width, height }
}

function isPortrait({ width, height }: { width: number; height: number }): boolean {
  return height > width
}

function ratioName(size: { width: number; height: number }): string {
  const [nearest] = RATIOS.toSorted((a, b) => distance(size, a.ratio) - distance(size, b.ratio))
  return nearest?.name ?? ''
}

/** How far a size, laid down, is from a ratio. */
function distance({ width, height }: { width: number; height: number }, ratio: number): number {
  return Math.abs(Math.log(Math.max(width, height) / Math.min(width, height) / ratio))
}

function turnedDistance(a: { width: number; height: number }, b: { width: number; height: number }): number {
  return Math.abs(Math.log((a.width / a.height) * (b.height / b.width)))
}
