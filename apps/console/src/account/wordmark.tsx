/** The name with its logo: a sluice gate half raised over running water. */
export function Wordmark() {
  return (
    <span className="wordmark">
      <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
        <path d="M5 3v18M19 3v18" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" />
        <rect x="7.6" y="3.5" width="8.8" height="8.5" rx="1.4" fill="currentColor" />
        <path
          d="M7.8 17.4c1.4-1.3 2.8-1.3 4.2 0s2.8 1.3 4.2 0"
          fill="none"
          stroke="var(--water)"
          strokeWidth="1.8"
          strokeLinecap="round"
        />
      </svg>
      Sluice
    </span>
  )
}
