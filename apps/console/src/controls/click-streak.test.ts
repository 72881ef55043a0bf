import { expect, test } from 'vitest'
import { nextStreak, type Streak } from './click-streak.ts'

const click = (target: string, atMs: number, x = 0): Streak => ({ target, x, y: 0, atMs })

/** Whether each click is stray, one after the other. */
function strays(clicks: readonly Streak[]): boolean[] {
  let streak: Streak | null = null
  return clicks.map((each) => {
    const next = nextStreak(streak, each)
    streak = next.streak
    return next.isStray
  })
}

test('whoever clicks on where a button was never hits the one that took its place', () => {
  const clicks = Array.from({ length: 13 }, (_, index) => click(index < 2 ? 'cancel' : 'again', index * 400))
  expect(strays(clicks)).toEqual(clicks.map((_, index) => index >= 2))
})

test('the same button, another place, or a pause is a click of its own', () => {
  expect(strays([click('a', 0), click('a', 100)])).toEqual([false, false])
  expect(strays([click('a', 0), click('b', 100, 40)])).toEqual([false, false])
  expect(strays([click('a', 0), click('b', 1_500)])).toEqual([false, false])
})
