import './studio.css'
import { useState } from 'react'
import { Announcer } from './announcer.tsx'
import { PromptBox } from './prompt-box.tsx'
import { VideoList } from './video-list.tsx'
import { useVideoIds } from './video-queries.ts'

const EXAMPLES = [
  'A paper boat drifts down a rain gutter, seen from just above the water',
  'Morning fog lifts off a terraced tea field, slow aerial push-in',
  'A lighthouse lamp turns once across a sleeping harbour',
]

/** The page: a sentence in, videos out. */
export function Studio() {
  const ids = useVideoIds()
  const [prompt, setPrompt] = useState('')
  const empty = ids.data?.length === 0
  return (
    <main className="studio">
      <h1>
        One sentence <em>becomes a video.</em>
      </h1>
      <PromptBox prompt={prompt} onPromptChange={setPrompt} />
      {empty ? (
        <section className="examples" aria-label="Examples">
          <h2 className="small-heading">Start from one of these</h2>
          <ul>
            {EXAMPLES.map((example) => (
              <li key={example}>
                <button type="button" onClick={() => setPrompt(example)}>
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
