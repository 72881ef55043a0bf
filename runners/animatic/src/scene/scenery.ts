import type { SKRSContext2D } from '@napi-rs/canvas'
import { seededRandom } from '@sluice/shared/seeded-random'
import { RIDGE_ROWS } from '../latent.ts'
import { auroraPainter } from './aurora.ts'
import { discPainter } from './disc.ts'
import { ridgePainter } from './ridge.ts'
import { type Painter, type Setting, scatterSeed } from './setting.ts'
import { cloudsPainter, skyPainter, starsPainter } from './sky.ts'

/** How many ridges stand before the horizon. */
const RIDGES = { lake: 3, valley: RIDGE_ROWS, sea: 1 } as const

/** Sky, stars, disc, clouds and ridges, from back to front: all that water may mirror. */
export function sceneryPainter(setting: Setting, context: SKRSContext2D): Painter {
  const random = seededRandom(scatterSeed(setting.latent))
  const rows = RIDGES[setting.kind]
  const painters = [
    skyPainter(setting, context),
    starsPainter(setting, context, random),
    ...(setting.palette.name === 'aurora' ? [auroraPainter(setting, context)] : []),
    discPainter(setting, context),
    cloudsPainter(setting, context, random),
    ...Array.from({ length: rows }, (_, row) => ridgePainter(setting, context, row, rows)),
  ]
  return (moment) => {
    for (const paint of painters) paint(moment)
  }
}
