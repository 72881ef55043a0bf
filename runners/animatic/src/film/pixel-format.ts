/**
 * RGBA to planar 4:2:0, BT.709, limited range (luma 16-235). The encoder's own conversion of RGBA
 * marks full range (yuvj420p), which players show washed out or too dark. Width and height are even.
 */
export function writeI420(rgba: Uint8Array, width: number, height: number, planes: Uint8Array): void {
  const chromaWidth = width >> 1
  let blue = width * height
  let red = blue + chromaWidth * (height >> 1)
  const stride = width * 4
  for (let y = 0; y < height; y += 2) {
    let source = y * stride
    let luma = y * width
    for (let x = 0; x < width; x += 2) {
      let r = 0
      let g = 0
      let b = 0
      for (let corner = 0; corner < 4; corner++) {
        const from = source + (corner & 1) * 4 + (corner >> 1) * stride
        const r1 = rgba[from] as number
        const g1 = rgba[from + 1] as number
        const b1 = rgba[from + 2] as number
        // 0.2126, 0.7152, 0.0722 times 219/255 in 1/65536.
        planes[luma + (corner & 1) + (corner >> 1) * width] =
          (11966 * r1 + 40254 * g1 + 4064 * b1 + 1_081_344) >> 16
        r += r1
        g += g1
        b += b1
      }
      // The sum of four pixels, so the factors are in 1/262144; 128 plus a half is 33685504.
      planes[blue++] = (-6596 * r - 22189 * g + 28785 * b + 33_685_504) >> 18
      planes[red++] = (28785 * r - 26145 * g - 2640 * b + 33_685_504) >> 18
      source += 8
      luma += 2
    }
  }
}
