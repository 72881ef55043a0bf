import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { askServer } from './ask-servers.ts'
import { requireProgram } from './debian-package.ts'
import { fencedBlocks, readDoc } from './doc-pages.ts'
import { eventually } from './eventually.ts'

/** A real TLS proxy in front of an API. */
export interface TlsProxy extends AsyncDisposable {
  /** https://localhost with its port. */
  url: string
  /** Its certificate, which is its own authority, and the file that it is in. */
  ca: string
  caPath: string
}

export const PROXY_KINDS = ['nginx', 'caddy'] as const
export type ProxyKind = (typeof PROXY_KINDS)[number]

/**
 * Starts nginx or Caddy with the configuration of docs/proxy.md, in which only the listening address, the
 * certificate and the API's port are replaced, and with what the program needs to run in a folder of its own.
 */
export async function startTlsProxy(kind: ProxyKind, port: number, apiPort: number): Promise<TlsProxy> {
  const program = (await askServer(kind)).path
  const dir = await mkdtemp(join(tmpdir(), `sluice-test-${kind}-`))
  // Started by root, nginx works as another user, who must be able to enter the folder.
  await chmod(dir, 0o755)
  const certificate = await makeCertificate(dir)
  const config = join(dir, 'proxy.conf')
  await writeFile(config, CONFIGS[kind]({ dir, port, apiPort, certificate }))
  for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) {
    await mkdir(join(dir, name), { mode: 0o777 })
  }
  const args = {
    nginx: ['-p', dir, '-e', 'stderr', '-c', config, '-g', 'daemon off;'],
    caddy: ['run', '--config', config, '--adapter', 'caddyfile'],
  }[kind]
  const env = { PATH: process.env.PATH ?? '', HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir }
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk))
  const ca = await readFile(certificate.path, 'utf8')
  const url = `https://localhost:${port}`
  const stop = async () => {
    await stopChild(child)
    await rm(dir, { recursive: true, force: true })
  }
  try {
    await eventually(
      async () => {
        if (child.exitCode !== null) throw new Error(`${kind} ended with ${child.exitCode}: ${output}`)
        return (await ask(`${url}/health`, { ca }).catch(() => null))?.status
      },
      (status) => status === 200,
    )
  } catch (error) {
    await stop()
    throw new Error(`${kind} does not serve: ${output}`, { cause: error })
  }
  return { url, ca, caPath: certificate.path, [Symbol.asyncDispose]: stop }
}

interface Placement {
  dir: string
  port: number
  apiPort: number
  certificate: { path: string; keyPath: string }
}

const CONFIGS: Record<ProxyKind, (at: Placement) => string> = {
  nginx: ({ dir, port, apiPort, certificate }) => {
    const block = substitute(fencedBlocks(readDoc('proxy.md'), 'nginx')[0] ?? '', {
      'listen 443 ssl': `listen 127.0.0.1:${port} ssl`,
      '/etc/ssl/video.example.com.pem': certificate.path,
      '/etc/ssl/video.example.com.key': certificate.keyPath,
      'http://127.0.0.1:3000': `http://127.0.0.1:${apiPort}`,
    })
    const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `${name}_temp_path ${join(dir, name.replace('client_', ''))};`)
      .join('\n')
    return `worker_processes 1;\npid ${join(dir, 'pid')};\nevents {}\nhttp {\naccess_log off;\n${folders}\n${block}\n}\n`
  },
  caddy: ({ port, apiPort, certificate }) => {
    const block = substitute(fencedBlocks(readDoc('proxy.md'), 'caddyfile')[0] ?? '', {
      'video.example.com {': `https://localhost:${port} {\n  bind 127.0.0.1\n  tls ${certificate.path} ${certificate.keyPath}`,
      '127.0.0.1:3000': `127.0.0.1:${apiPort}`,
    })
    return `{\n  admin off\n  auto_https disable_redirects\n}\n${block}`
  },
}

/** Throws when the page does not contain what is to be replaced, so that page and test stay the same. */
function substitute(block: string, replacements: Record<string, string>): string {
  return Object.entries(replacements).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`docs/proxy.md has no ${JSON.stringify(from)} in ${text}`)
    return text.replace(from, to)
  }, block)
}

async function makeCertificate(dir: string): Promise<{ path: string; keyPath: string }> {
  const openssl = await requireProgram(['openssl'], 'openssl')
  const [path, keyPath] = [join(dir, 'certificate.pem'), join(dir, 'certificate.key')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,DNS:video.example.com']
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyPath]
  await promisify(execFile)(openssl, ['req', '-x509', ...key, '-days', '2', '-out', path, ...subject])
  return { path, keyPath }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

/** An answer that came through a proxy. */
export interface ProxiedAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: Buffer
}

/** Sends a request with a certificate authority of its own, which fetch has no option for. */
export function ask(
  url: string,
  options: { ca: string; method?: string; headers?: Record<string, string>; body?: Buffer | string },
): Promise<ProxiedAnswer> {
  const { ca, method = 'GET', headers = {}, body } = options
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca, method, headers, agent: false, family: 4 }, async (response) => {
      const chunks: Buffer[] = []
      try {
        for await (const chunk of response) chunks.push(chunk as Buffer)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
      } catch (error) {
        reject(error)
      }
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
