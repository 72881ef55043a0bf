import { ACCEPTED_TYPES } from './chosen-image.ts'

/** Opens the file picker. An image can also be dropped on the prompt box or pasted into it. */
export function ImageButton({ onFile }: { onFile: (file: File) => void }) {
  return (
    <label className="shape add-image" title="Add an image (or drop or paste one)">
      <input
        type="file"
        className="unseen"
        accept={ACCEPTED_TYPES}
        aria-label="Add an image"
        onChange={(event) => {
          const [file] = event.target.files ?? []
          // Without this, choosing the same file again after removing it would be no change.
          event.target.value = ''
          if (file !== undefined) onFile(file)
        }}
      />
      <svg
        viewBox="0 0 20 20"
        width="18"
        height="18"
        aria-hidden="true"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.4"
        strokeLinecap="round"
        strokeLinejoin="round"
      >
        <rect x="2.7" y="4" width="14.6" height="12" rx="2" />
        <circle cx="7" cy="8.2" r="1.3" />
        <path d="m3.2 14.4 4-3.6 2.6 2.2 3.4-3.4 3.6 3.4" />
      </svg>
      <small>Image</small>
    </label>
  )
}
