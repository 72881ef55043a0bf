import './fault-note.css'
import { faultWords } from '../api/fault-words.ts'

/** Says which part of the page is missing and why, with a button that tries once more now. */
export function FaultNote({ title, error, onTry }: { title: string; error: Error; onTry: () => void }) {
  return (
    <div className="fault-note" role="alert">
      <p>
        <strong>{title}</strong> {faultWords(error)}
      </p>
      <button type="button" className="quiet-button" onClick={onTry}>
        Try now
      </button>
    </div>
  )
}
