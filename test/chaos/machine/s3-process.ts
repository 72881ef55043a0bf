import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import S3rver from 's3rver'

/**
 * An S3 server as a process of its own, so that a fault can kill or freeze it:
 * `s3-process.ts PORT DIR MOODFILE`.
 */
const [port = '0', directory = '', moodFile = ''] = process.argv.slice(2)
const serve = new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory }).callback()

createServer((request, response) => {
  const mood = readMood()
  if (mood === null) serve(request, response)
  else {
    request.resume()
    response
      .writeHead(mood, { 'content-type': 'application/xml' })
      .end('<Error><Code>InternalError</Code></Error>')
  }
}).listen(Number(port), '127.0.0.1')
process.on('SIGTERM', () => process.exit(0))

function readMood(): number | null {
  try {
    return Number(readFileSync(moodFile, 'utf8')) || null
  } catch {
    return null
  }
}
