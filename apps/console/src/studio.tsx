import './studio.css'
import { useState } from 'react'
import { useVideoIds } from './api/queries.ts'
import { PromptBox } from './prompt/prompt-box.tsx'
import { Announcer } from './video/announcer.tsx'
import { VideoList } from './video/video-list.tsx'

const EXAMPLES = [
  'A paper boat drifts down a rain gutter, seen from just above the water',
  'Morning fog lifts off a terraced tea field, slow aerial push-in',
  'A lighthouse lamp turns once across a sleeping harbour',
]

/** The page: the prompt box, and the videos or a few examples. */
export function Studio() {
  const ids = useVideoIds()
  const [text, setText] = useState('')
  const empty = ids.data?.length === 0
  return (
    <main className="studio">
      <h1>
        One sentence <em>becomes a video.</em>
      </h1>
      <PromptBox prompt={{ text, setText }} />
      {empty ? (
        <section className="examples" aria-label="Examples">
          <h2 className="small-heading">Start from one of these</h2>
          <ul>
            {EXAMPLES.map((example) => (
              <li key={example}>
                <button type="button" onClick={() => setText(example)}>
                  {example}
                </button>
              </li>
            ))}
          </ul>
        </section>
      ) : (
        <VideoList ids={ids.data} />
      )}
      <Announcer ids={ids.data ?? []} />
    </main>
  )
}
