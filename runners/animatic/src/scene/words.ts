import type { SKRSContext2D } from '@napi-rs/canvas'
import { fontFor } from './fonts.ts'
import { withAlpha } from './palette.ts'
import type { Painter, Setting } from './setting.ts'

/** Stands on every frame, since the picture could be taken for a model's. */
const NOTICE = 'animatic: no model ran'

/** The prompt, a thin line that fills as time passes, and the notice. */
export function wordsPainter(setting: Setting, context: SKRSContext2D): Painter {
  const { width, height, palette, title } = setting
  const shorter = Math.min(width, height)
  const ruleWidth = Math.max(28, width * 0.1)
  const ruleHeight = Math.max(1.5, shorter * 0.005)
  const noticePixels = Math.max(8, Math.round(shorter * 0.024))
  const noticeFont = fontFor(NOTICE, 400, noticePixels)
  return ({ share }) => {
    context.save()
    const scale = 1 + 0.022 * share
    context.translate(width / 2, (title.top + title.bottom) / 2)
    context.scale(scale, scale)
    context.drawImage(title.layer, -title.layer.width / 2, -title.layer.height / 2)
    context.restore()

    context.fillStyle = withAlpha('#ffffff', 0.28)
    context.fillRect(width / 2 - ruleWidth / 2, title.ruleY, ruleWidth, ruleHeight)
    context.fillStyle = palette.accent
    context.fillRect(width / 2 - ruleWidth / 2, title.ruleY, ruleWidth * share, ruleHeight)

    context.font = noticeFont
    context.textAlign = 'center'
    context.textBaseline = 'alphabetic'
    context.letterSpacing = `${(noticePixels * 0.06).toFixed(2)}px`
    context.fillStyle = withAlpha('#ffffff', 0.72)
    context.fillText(NOTICE, width / 2, height - Math.round(Math.max(5, shorter * 0.03)))
  }
}
