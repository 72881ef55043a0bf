/** An image that the viewer chose. */
export interface ChosenImage {
  name: string
  /** `data:image/...;base64,...` */
  dataUrl: string
  /** Upright, in pixels. */
  width: number
  height: number
}

/** Why an image cannot be used; the message is for the viewer. */
export class ImageFault extends Error {
  override name = 'ImageFault'
}

const TYPES = ['image/png', 'image/jpeg', 'image/webp']
export const ACCEPTED_TYPES = TYPES.join(',')
/** A larger file is scaled down and compressed before it is sent, to spare slow connections. */
const SENT_AS_IS_BYTES_MAX = 1_000_000
/** Longest side after scaling, in pixels: no video is larger. */
const SIDE_MAX = 2_048
const JPEG_QUALITY = 0.92

/** Reads a file that the viewer chose, dropped or pasted. Throws ImageFault. */
export async function readImage(file: File): Promise<ChosenImage> {
  if (!TYPES.includes(file.type))
    throw new ImageFault(`${file.name || 'This'} is no PNG, JPEG or WebP image.`)
  const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' }).catch(() => {
    throw new ImageFault(`${file.name || 'The image'} can’t be read. It may be damaged.`)
  })
  try {
    const { width, height } = bitmap
    const blob = file.size <= SENT_AS_IS_BYTES_MAX ? file : await scaleDown(bitmap)
    return { name: file.name, dataUrl: await dataUrlOf(blob), width, height }
  } finally {
    bitmap.close()
  }
}

/** The first image among what was dropped or pasted; null when there is none. */
export function imageIn(transfer: DataTransfer | null): File | null {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith('image/')) ?? null
}

async function scaleDown(bitmap: ImageBitmap): Promise<Blob> {
  const scale = Math.min(1, SIDE_MAX / Math.max(bitmap.width, bitmap.height))
  const canvas = document.createElement('canvas')
  canvas.width = Math.max(1, Math.round(bitmap.width * scale))
  canvas.height = Math.max(1, Math.round(bitmap.height * scale))
  const context = canvas.getContext('2d')
  if (context === null) throw new ImageFault('This browser can’t make the image smaller.')
  context.imageSmoothingQuality = 'high'
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', JPEG_QUALITY))
  if (blob === null) throw new ImageFault('This browser can’t make the image smaller.')
  return blob
}

function dataUrlOf(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result))
    reader.onerror = () => reject(new ImageFault('The image can’t be read.'))
    reader.readAsDataURL(blob)
  })
}
