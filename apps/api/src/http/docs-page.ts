import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Router } from 'express'
import { fixedFile } from './fixed-file.ts'

const SWAGGER_UI_DIR = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
const FILES = { 'swagger-ui.css': 'css', 'swagger-ui-bundle.js': 'js', 'favicon-32x32.png': 'png' }

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
`

/** The key stays in this browser over a reload; the list of calls comes first, the schemas folded below. */
const OPTIONS = {
  url: '/openapi.json',
  dom_id: '#reference',
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
}
const START = `SwaggerUIBundle(${JSON.stringify(OPTIONS)})\n`

/** GET /docs: the OpenAPI document to read and to try. Nothing is loaded from elsewhere. */
export function docsPage(): Router {
  const router = Router()
  router.get('/docs', (_request, response) => {
    // Swagger UI styles its elements inline.
    const policy = response.getHeader('content-security-policy')
    if (typeof policy === 'string')
      response.set('content-security-policy', `${policy};style-src 'self' 'unsafe-inline'`)
    response.type('html').send(PAGE)
  })
  router.get('/docs/start.js', (_request, response) => {
    response.type('js').send(START)
  })
  // Read once: a stranger's requests cost no reading from the disk.
  for (const [file, type] of Object.entries(FILES)) {
    router.get(`/docs/${file}`, fixedFile(readFileSync(`${SWAGGER_UI_DIR}/${file}`), type))
  }
  return router
}
