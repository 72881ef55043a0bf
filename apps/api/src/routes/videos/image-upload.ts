import type { UploadField } from '../../http/request-body.ts'
import { DATA_URL_CHARS_MAX, INPUT_IMAGE_FIELD, UploadedFile } from '../../inputs/input-image.ts'
import { IMAGE_BYTES_MAX, tooLarge } from '../../inputs/source-image.ts'

/** The image of a submission: a file of a form, a data URL or an https URL. */
export const imageUpload: UploadField = {
  name: INPUT_IMAGE_FIELD,
  fileBytesMax: IMAGE_BYTES_MAX,
  textCharsMax: DATA_URL_CHARS_MAX,
  valueOf: (bytes) => new UploadedFile(bytes),
  tooLarge: () => tooLarge(null),
}
