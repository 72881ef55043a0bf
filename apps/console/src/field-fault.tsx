/** What is wrong with a field, beside it; announced when it appears. */
export function FieldFault({ id, text }: { id: string; text: string | null }) {
  return text === null ? null : (
    <p id={id} className="fault" role="alert">
      {text}
    </p>
  )
}
