import './image-preview.css'
import type { ChosenImage } from './chosen-image.ts'

/** The image that the video starts with, and a button to remove it. */
export function ImagePreview({ image, onRemove }: { image: ChosenImage; onRemove: () => void }) {
  return (
    <figure className="image-preview">
      <img src={image.dataUrl} alt={image.name === '' ? 'The image you pasted' : image.name} />
      <figcaption>The video starts with this image.</figcaption>
      <button type="button" onClick={onRemove}>
        Remove
      </button>
    </figure>
  )
}
