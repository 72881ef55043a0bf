/** A plan to begin with, as `sluice plan --example` prints it: a studio with one kind of GPU. */
export const EXAMPLE_PLAN = {
  currency: 'USD',
  demand: [
    { hours: '0-6', videos: 15 },
    { hours: '7-8', videos: 60 },
    { hours: '9-11', videos: 150 },
    { hours: '12-13', videos: 110 },
    { hours: '14-17', videos: 180 },
    { hours: '18-20', videos: 90 },
    { hours: '21-23', videos: 35 },
  ],
  mix: [
    { share: 10, model: 'open-sora-2', size: '336x192', frames: 129, steps: 50, tier: 'priority' },
    { share: 60, model: 'open-sora-2', size: '336x192', frames: 129, steps: 50, tier: 'standard' },
    { share: 5, model: 'open-sora-2', size: '1024x576', frames: 65, steps: 50, tier: 'standard' },
    { share: 25, model: 'open-sora-2', size: '336x192', frames: 65, steps: 50, tier: 'flex' },
  ],
  pools: [{ pool: 'h200', gpus: 6, gpu_price_per_hour: '1.99', models: 'open-sora-2' }],
  paces: [
    { pool: 'h200', model: 'open-sora-2', class: '256px', tokens_per_second: 9_000, overhead_ms: 2_000 },
    { pool: 'h200', model: 'open-sora-2', class: '768px', tokens_per_second: 2_900, overhead_ms: 4_000 },
  ],
  prices: [
    { model: 'open-sora-2', class: '256px', per_million: '0.20' },
    { model: 'open-sora-2', class: '768px', per_million: '0.60' },
  ],
  multipliers: { priority: 1.5, standard: 1, flex: 0.5 },
  accounts: [
    { account: 'shop', share: 6 },
    { account: 'agency', share: 3, weight: 200 },
    { account: 'school', share: 1, running_max: 2 },
  ],
  wait_seconds: { priority: 60, standard: 600, flex: 14_400 },
} as const
