import type { Model } from '@sluice/shared/models/model'
import { openAiSizesOf, sizeOfOpenAi } from '@sluice/shared/models/openai-names'
import { type FrameSize, findSize, formatSize, nearestSize } from '@sluice/shared/models/sizes'
import { invalidValue } from '../errors.ts'

/** The shape of a video whose request names no size and has no image. */
export const DEFAULT_SHAPE = { width: 16, height: 9 }

/** The model's size for the one asked for. Throws SluiceError that names sizes of the model. */
export function sizeAsked(model: Model, given: string): FrameSize {
  const size = sizeOfOpenAi(model, given) ?? findSize(model, given)
  if (size === undefined) throw invalidValue('size', given, sizesNear(model, given))
  return size
}

/** The sizes nearest to what was asked for, and where the others are listed. */
function sizesNear(model: Model, given: string): string {
  const [, width, height] = /^(\d{1,5})\D(\d{1,5})$/.exec(given) ?? []
  const shape = {
    width: Number(width) || DEFAULT_SHAPE.width,
    height: Number(height) || DEFAULT_SHAPE.height,
  }
  const near = model.resolutions.map((resolution) => formatSize(nearestSize(model, shape, resolution)))
  const openAi = openAiSizesOf(model).map(({ asked }) => asked)
  return `${[...new Set([...near, ...openAi])].join(', ')}, or ${others(model)}`
}

function others({ id, sizes, sizeRule }: Model): string {
  if (sizeRule === null) return `any of the ${sizes.length} that GET /v1/models/${id} lists`
  const { multiple, sideMin, sideMax, classes } = sizeRule
  const pixels = classes.flatMap(({ pixelsMin, pixelsMax }) => [pixelsMin, pixelsMax])
  return (
    `any whose sides are multiples of ${multiple} from ${sideMin} to ${sideMax}, ` +
    `with ${Math.min(...pixels)} to ${Math.max(...pixels)} pixels`
  )
}
