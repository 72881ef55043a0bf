import type { Request, Response } from 'express'
import { Router } from 'express'

const STYLE = `:root{color-scheme:dark light}
body{max-width:34rem;margin:22vh auto 3rem;padding:0 1.25rem;font:400 1rem/1.5 system-ui,sans-serif;
background:#0e1011;color:#ece9e2}
h1{margin:0;font:400 2.25rem/1.15 Palatino,Georgia,serif}
p{overflow-wrap:anywhere;color:#a5a69f}
a{display:inline-flex;align-items:center;min-height:2.75rem;margin-right:1.5rem;color:inherit}
a.way-on{color:#7fd1c2}
@media (prefers-color-scheme:light){body{background:#f5f3ee;color:#1b1c1c}p{color:#5a5b57}
a.way-on{color:#12766a}}
`
const STYLE_PATH = '/person-page.css'
/** Paths of the API: an HTTP client may ask for HTML there without meaning it, as Java's old one does. */
const API_PATH = /^\/(v1|internal)(\/|$)/

/**
 * Whether a person looks at this address in a browser, and not a program: it asks for HTML, and on a path of
 * the API the browser says itself that somebody navigates.
 */
export function isPerson(request: Request): boolean {
  if (request.method !== 'GET' || !/\btext\/html\b/.test(request.get('accept') ?? '')) return false
  return !API_PATH.test(request.path) || request.get('sec-fetch-mode') === 'navigate'
}

/** Answers a person: what is wrong here, and where to go on. */
export function sendPersonPage(
  response: Response,
  { status, message, isUnknown }: { status: number; message: string; isUnknown: boolean },
): void {
  const title = isUnknown ? 'There is no page here' : 'This address is for programs'
  response
    .status(status)
    .set('cache-control', 'no-store')
    .type('html')
    .send(
      `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Sluice</title>
<link rel="icon" type="image/svg+xml" href="/favicon.svg">
<link rel="stylesheet" href="${STYLE_PATH}">
<h1>${title}</h1>
<p>${escapeHtml(message)}</p>
<p><a class="way-on" href="/">Open the studio</a><a href="/docs">Read about the API</a></p>
</html>
`,
    )
}

/** The style of the page, and the icon that browsers ask for by a name of their own. */
export function personPageFiles(): Router {
  const router = Router()
  router.get(STYLE_PATH, (_request, response) => {
    response.set('cache-control', 'max-age=3600').type('css').send(STYLE)
  })
  router.get('/favicon.ico', (_request, response) => {
    response.redirect(302, '/favicon.svg')
  })
  return router
}

/** Text as it stands in a page. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
