import type { PublicVideo } from '@sluice/shared/public-video'
import type { ReactNode } from 'react'
import { frameSize } from '../api/video.ts'
import { isZero, moneyText } from '../text/money-text.ts'
import { promiseText } from '../text/promise-text.ts'
import { agoText, clipText } from '../text/time-text.ts'
import { useNow } from './use-now.ts'

/** Size, length, tokens, cost, seed and age, in one quiet line. */
export function VideoFacts({ video }: { video: PublicVideo }) {
  const now = useNow()
  const { width, height } = frameSize(video)
  const tokens = video.usage.generated_tokens
  const promised = video.promise == null ? null : promiseText(video.promise)
  return (
    <dl className="facts figures">
      <Fact name="Size">{`${width} × ${height}`}</Fact>
      <Fact name="Length">{clipText(Number(video.seconds))}</Fact>
      {tokens > 0 && <Fact name="Tokens">{`${tokens.toLocaleString('en')} tokens`}</Fact>}
      <Fact name="Cost">{costText(video)}</Fact>
      {promised !== null && <Fact name="Promise">{promised}</Fact>}
      <div className="fact-break" />
      <Fact name="Seed">{`seed ${video.seed}`}</Fact>
      <Fact name="Made with">{video.model}</Fact>
      {video.service_tier !== 'standard' && <Fact name="Tier">{video.service_tier}</Fact>}
      <Fact name="Asked for">
        <time
          dateTime={new Date(video.created_at * 1_000).toISOString()}
          title={new Date(video.created_at * 1_000).toLocaleString()}
        >
          {agoText(video.created_at, now)}
        </time>
      </Fact>
    </dl>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt className="unseen">{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function costText({ cost }: PublicVideo): string {
  switch (cost.state) {
    case 'held':
      return `${moneyText(cost)} held`
    case 'charged':
      return isZero(cost.amount) ? 'not charged' : moneyText(cost)
    case 'released':
      return 'not charged'
  }
}
