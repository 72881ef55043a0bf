import './studio.css'
import { useEffect, useState } from 'react'
import { keepDraft, readDraft } from './account/draft-store.ts'
import { useVideoIds } from './api/queries.ts'
import { PromptBox } from './prompt/prompt-box.tsx'
import { Announcer } from './video/announcer.tsx'
import { DeletionsContext, useNewDeletions } from './video/use-deletion.ts'
import { VideoList } from './video/video-list.tsx'

const EXAMPLES = [
  'A paper boat drifts down a rain gutter, seen from just above the water',
  'Morning fog lifts off a terraced tea field, slow aerial push-in',
  'A lighthouse lamp turns once across a sleeping harbour',
]
const NO_IDS: readonly string[] = []

/** The page: the prompt box, and the videos or a few examples. */
export function Studio() {
  const { data } = useVideoIds()
  const [text, setText] = useState(readDraft)
  useEffect(() => keepDraft(text), [text])
  return (
    <main className="studio">
      <h1>
        One sentence <em>becomes a video.</em>
      </h1>
      <PromptBox prompt={{ text, setText }} />
      {data?.ids.length === 0 ? <Examples onChoose={setText} /> : <Videos />}
      <Announcer ids={data?.ids ?? NO_IDS} />
      <footer className="studio-foot">
        <a href="/docs">The API behind this page</a>
      </footer>
    </main>
  )
}

function Videos() {
  const deletions = useNewDeletions()
  return (
    <DeletionsContext.Provider value={deletions}>
      <VideoList />
    </DeletionsContext.Provider>
  )
}

function Examples({ onChoose }: { onChoose: (text: string) => void }) {
  return (
    <section className="examples" aria-label="Examples">
      <h2 className="small-heading">Start from one of these</h2>
      <ul>
        {EXAMPLES.map((example) => (
          <li key={example}>
            <button type="button" onClick={() => onChoose(example)}>
              {example}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}
