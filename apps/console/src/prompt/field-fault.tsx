/** What is wrong with a field, shown beside it; screen readers announce it when it appears. */
export function FieldFault({ id, text }: { id: string; text: string | null }) {
  return text === null ? null : (
    <p id={id} className="fault" role="alert">
      {text}
    </p>
  )
}
