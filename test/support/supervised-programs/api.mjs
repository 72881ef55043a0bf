// Stands in for the API in the supervisor's tests: a real process on a real port, steered by files in the
// data dir.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const dataDir = process.env.SLUICE_DATA_DIR
const write = (how, name, text) => {
  try {
    how(join(dataDir, name), text)
  } catch {
    // A full disk ends no program of the service.
  }
}
const note = (what) => write(appendFileSync, 'events', `api ${what} ${process.pid}\n`)
if (existsSync(join(dataDir, 'api-refuses'))) {
  process.stderr.write('SLUICE_CURRENCY must be three letters, got "dollars"\n')
  process.exit(2)
}
write(writeFileSync, 'api-environment', JSON.stringify(process.env))
const keys = { key: 'sk-test', admin_key: 'sk-admin', base_url: `http://127.0.0.1:${process.env.PORT}/v1` }
if (!existsSync(join(dataDir, 'keys.json'))) {
  writeFileSync(join(dataDir, 'worker-token'), 'the-worker-token\n')
  writeFileSync(join(dataDir, 'keys.json'), JSON.stringify(keys))
}
note('started')
const server = createServer((request, response) => {
  const ready =
    request.url !== '/ready' ||
    (existsSync(join(dataDir, 'events')) &&
      readFileSync(join(dataDir, 'events'), 'utf8').includes('worker started'))
  response.writeHead(ready ? 200 : 503).end('{}')
}).listen(Number(process.env.PORT), process.env.HOST)
const leave = (why) => {
  note(why)
  server.close()
  process.exit(0)
}
process.on('SIGTERM', () => {
  if (!existsSync(join(dataDir, 'api-hangs'))) leave('stopped')
})
process.on('disconnect', () => leave('disconnected'))
