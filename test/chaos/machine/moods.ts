/** What moody-runner.ts does to its replies. */
export const MOODS = ['rubbish', 'wrong-times', 'grows', 'exits', 'silent'] as const
export type Mood = (typeof MOODS)[number]
