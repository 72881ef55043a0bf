import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { chromium, type Page } from 'playwright-core'
import sharp from 'sharp'

/**
 * Records docs/studio-clip.webp: somebody types a sentence into the page, the video is made, and it plays.
 * Needs the service that `npm start` runs, found through keys.json in SLUICE_DATA_DIR, and a Chromium with
 * H.264: Debian's in /usr/bin, or the one that CHROMIUM names. Run it with `npm run clip`.
 */
const PROMPT = 'A paper boat in the rain'
const SIZE = { width: 960, height: 900 }
const CLIP_WIDTH = 720
const FRAME_MS = 100
const TYPING_MS = 60
const PLAYING_MS = 4_500
const VIDEO_MS_MAX = 120_000
const TARGET = join(import.meta.dirname, 'studio-clip.webp')

interface Shot {
  atMs: number
  image: Buffer
}

const keysFile = join(process.env.SLUICE_DATA_DIR ?? '.sluice', 'keys.json')
const { base_url: baseUrl, key } = JSON.parse(readFileSync(keysFile, 'utf8')) as Record<string, string>
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
})
try {
  const page = await browser.newPage({ viewport: SIZE })
  await page.goto(new URL(`/#key=${key}`, baseUrl).href)
  const card = page.locator('article[data-video]')
  await page.waitForLoadState('networkidle')
  const before = (await card.count()) === 0 ? '' : await card.first().getAttribute('data-video')
  const shots = await record(page, async () => {
    const box = page.getByRole('textbox', { name: 'What the video shows' })
    await box.pressSequentially(PROMPT, { delay: TYPING_MS })
    await sleep(400)
    await box.press('Enter')
    const video = page.locator(`article[data-video]:not([data-video="${before}"]) video`).first()
    await video.waitFor({ timeout: VIDEO_MS_MAX })
    await video.evaluate((element) => (element as unknown as { play(): Promise<void> }).play())
    await sleep(PLAYING_MS)
  })
  await writeClip(shots)
} finally {
  await browser.close()
}

/** Runs `act` and returns what the page looked like meanwhile, one picture for each change. */
async function record(page: Page, act: () => Promise<void>): Promise<Shot[]> {
  const session = await page.context().newCDPSession(page)
  const shots: Shot[] = []
  session.on('Page.screencastFrame', ({ data, sessionId, metadata }) => {
    shots.push({ atMs: (metadata.timestamp ?? 0) * 1000, image: Buffer.from(data, 'base64') })
    session.send('Page.screencastFrameAck', { sessionId }).catch(() => undefined)
  })
  await session.send('Page.startScreencast', { format: 'png', everyNthFrame: 1 })
  await act()
  await session.send('Page.stopScreencast')
  return shots
}

/**
 * Writes one frame for each `FRAME_MS`, each the newest picture of its time; the last one stays for a second.
 */
async function writeClip(shots: readonly Shot[]): Promise<void> {
  const startMs = shots[0]?.atMs ?? 0
  const frames = Array.from(
    { length: Math.ceil(((shots.at(-1)?.atMs ?? 0) - startMs) / FRAME_MS) },
    (_, index) => shots.findLast((shot) => shot.atMs <= startMs + index * FRAME_MS),
  ).flatMap((shot) => (shot === undefined ? [] : [shot]))
  const images = await Promise.all(
    frames.map((frame) => sharp(frame.image).resize({ width: CLIP_WIDTH }).png().toBuffer()),
  )
  const delay = images.map((_, index) => (index === images.length - 1 ? 1_000 : FRAME_MS))
  const { size } = await sharp(images, { join: { animated: true } })
    .webp({ quality: 70, effort: 6, loop: 0, delay, minSize: true, mixed: true })
    .toFile(TARGET)
  process.stdout.write(`${TARGET}: ${images.length} frames, ${Math.round(size / 1000)} kB\n`)
}
