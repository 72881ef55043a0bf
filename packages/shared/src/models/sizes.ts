/** Pixels, and the resolution class that the size is priced in. */
export interface FrameSize {
  width: number
  height: number
  resolution: string
}

/** A model that makes any size whose sides are multiples of `multiple`, within these bounds. */
export interface SizeRule {
  multiple: number
  sideMin: number
  sideMax: number
  /** The class of a size is the first one whose pixels it has: width times height, both bounds included. */
  classes: readonly { resolution: string; pixelsMin: number; pixelsMax: number }[]
}

/** The sizes that a model makes: those listed and, with a rule, any other that the rule allows. */
export interface MadeSizes {
  sizes: readonly FrameSize[]
  /** Null = only the `sizes`. */
  sizeRule: SizeRule | null
}

const SIZE_TEXT = /^([1-9]\d{0,4})x([1-9]\d{0,4})$/

/** `{width: 336, height: 192}` -> `"336x192"`. */
export function formatSize(size: { width: number; height: number }): string {
  return `${size.width}x${size.height}`
}

/** A size and its transpose, or the size alone when it is a square. */
export function bothWays({ width, height, resolution }: FrameSize): FrameSize[] {
  const size = { width, height, resolution }
  return width === height ? [size] : [size, { width: height, height: width, resolution }]
}

/** What both sides of every size of the model are multiples of. */
export function sideMultiple({ sizes, sizeRule }: MadeSizes): number {
  if (sizeRule !== null) return sizeRule.multiple
  return sizes.flatMap(({ width, height }) => [width, height]).reduce(greatestDivisor, 0)
}

/** The most pixels that a frame of the model has. */
export function pixelsMax({ sizes, sizeRule }: MadeSizes): number {
  const bounds =
    sizeRule === null
      ? sizes.map(({ width, height }) => width * height)
      : sizeRule.classes.map((one) => one.pixelsMax)
  return Math.max(...bounds)
}

/** The model's size of exactly these sides; undefined when it does not make it. */
export function sizeOf(
  { sizes, sizeRule }: MadeSizes,
  { width, height }: { width: number; height: number },
): FrameSize | undefined {
  const listed = sizes.find((size) => size.width === width && size.height === height)
  if (listed !== undefined || sizeRule === null) return listed
  return sizeByRule(sizeRule, { width, height })
}

/** The size with its class, when the rule allows these sides. */
function sizeByRule(
  { multiple, sideMin, sideMax, classes }: SizeRule,
  { width, height }: { width: number; height: number },
): FrameSize | undefined {
  const fits = [width, height].every((side) => side >= sideMin && side <= sideMax && side % multiple === 0)
  if (!fits) return undefined
  const pixels = width * height
  const found = classes.find((one) => pixels >= one.pixelsMin && pixels <= one.pixelsMax)
  return found === undefined ? undefined : { width, height, resolution: found.resolution }
}

/** The model's size for a text such as `"336x192"`; undefined when it does not make it. */
export function findSize(model: MadeSizes, text: string): FrameSize | undefined {
  return SIZE_TEXT.test(text) ? sizeOf(model, parseSize(text)) : undefined
}

/** `"336x192"` -> `{width: 336, height: 192}`. Throws RangeError for text of another form. */
export function parseSize(text: string): { width: number; height: number } {
  const [, width, height] = SIZE_TEXT.exec(text) ?? []
  if (width === undefined || height === undefined) throw new RangeError(`no size: ${text}`)
  return { width: Number(width), height: Number(height) }
}

/** Whether the rule allows the size in its class. */
export function isByRule(rule: SizeRule, size: FrameSize): boolean {
  return sizeByRule(rule, size)?.resolution === size.resolution
}

/** For each class of the rule about its largest sizes of 16:9, upright too, and the largest square. */
export function suggestedSizes(rule: SizeRule): FrameSize[] {
  const { multiple, sideMax, classes } = rule
  const whole = (side: number) => Math.floor(side / multiple) * multiple
  return classes.flatMap(({ resolution, pixelsMax: pixels }) => {
    const made = [16 / 9, 1].flatMap((aspect) => {
      const height = whole(Math.sqrt(pixels / aspect))
      const width = whole(Math.min(sideMax, height * aspect + multiple / 2, pixels / Math.max(height, 1)))
      return bothWays({ width, height, resolution })
    })
    return made.filter((size) => isByRule(rule, size))
  })
}

/**
 * The model's size of that class whose aspect ratio is nearest to the image's, so that least of it is
 * cropped; of a model with a rule, among those to choose from. Throws RangeError when the model has no size
 * of the class.
 */
export function nearestSize(
  model: Pick<MadeSizes, 'sizes'> & { id: string },
  image: { width: number; height: number },
  resolution: string,
): FrameSize {
  const sizes = model.sizes.filter((size) => size.resolution === resolution)
  const [first] = sizes
  if (first === undefined) throw new RangeError(`model ${model.id} makes no ${resolution} video`)
  return nearestOf(first, sizes, image)
}

/** The one of these sizes whose aspect ratio is nearest to the image's; the earliest of several. */
export function nearestOf(
  first: FrameSize,
  sizes: readonly FrameSize[],
  image: { width: number; height: number },
): FrameSize {
  const distance = (size: FrameSize) =>
    Math.abs(Math.log((size.width / size.height) * (image.height / image.width)))
  return sizes.reduce((nearest, size) => (distance(size) < distance(nearest) ? size : nearest), first)
}

function greatestDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestDivisor(other, one % other)
}
