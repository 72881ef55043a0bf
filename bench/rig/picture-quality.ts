/** Both take raw RGB24 frames, one clip's bytes beside another's. */

const LEVELS = 255
/** Of 8x8 pixels, and the constants that Wang et al. (2004) propose. */
const WINDOW = 8
const STRIDE = 4
const C1 = (0.01 * LEVELS) ** 2
const C2 = (0.03 * LEVELS) ** 2

/** Peak signal-to-noise ratio in decibels; Infinity for the same bytes. */
export function psnr(one: Buffer, other: Buffer): number {
  checkSameLength(one, other)
  let squares = 0
  for (let index = 0; index < one.length; index += 1)
    squares += ((one[index] ?? 0) - (other[index] ?? 0)) ** 2
  return 10 * Math.log10((LEVELS ** 2 * one.length) / squares)
}

/** Structural similarity of the luma, from -1 to 1, averaged over all windows of all frames. */
export function ssim(one: Buffer, other: Buffer, size: { width: number; height: number }): number {
  checkSameLength(one, other)
  const { width, height } = size
  const [first, second] = [luma(one), luma(other)]
  const frame = width * height
  let sum = 0
  let windows = 0
  for (let start = 0; start < first.length; start += frame) {
    for (let top = 0; top + WINDOW <= height; top += STRIDE) {
      for (let left = 0; left + WINDOW <= width; left += STRIDE) {
        sum += similarity(first, second, { at: start + top * width + left, width })
        windows += 1
      }
    }
  }
  return sum / windows
}

/** Of the window whose first pixel stands `at`. */
function similarity(
  first: Float64Array,
  second: Float64Array,
  { at, width }: { at: number; width: number },
): number {
  const count = WINDOW * WINDOW
  let [a, b, aa, bb, ab] = [0, 0, 0, 0, 0]
  for (let row = 0; row < WINDOW; row += 1) {
    for (let index = at + row * width; index < at + row * width + WINDOW; index += 1) {
      const [x, y] = [first[index] ?? 0, second[index] ?? 0]
      a += x
      b += y
      aa += x * x
      bb += y * y
      ab += x * y
    }
  }
  const [meanA, meanB] = [a / count, b / count]
  const [varianceA, varianceB] = [aa / count - meanA ** 2, bb / count - meanB ** 2]
  const covariance = ab / count - meanA * meanB
  return (
    ((2 * meanA * meanB + C1) * (2 * covariance + C2)) /
    ((meanA ** 2 + meanB ** 2 + C1) * (varianceA + varianceB + C2))
  )
}

/** By BT.601, as SSIM is mostly told. */
function luma(frames: Buffer): Float64Array {
  return Float64Array.from({ length: frames.length / 3 }, (_, pixel) => {
    const [red = 0, green = 0, blue = 0] = frames.subarray(pixel * 3, pixel * 3 + 3)
    return 0.299 * red + 0.587 * green + 0.114 * blue
  })
}

function checkSameLength(one: Buffer, other: Buffer): void {
  if (one.length !== other.length) throw new Error(`${one.length} bytes beside ${other.length}`)
}
