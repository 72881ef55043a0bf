import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { SettingError } from './settings.ts'

/** Listens on HOST and PORT. Throws SettingError, which names the one of them that is at fault. */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    throw asSettingError(error, host, port)
  }
}

/**
 * Throws as `listen` when nobody could listen there now. It is asked before anything is made or opened, since
 * the server itself listens last.
 */
export async function requireFreePort(host: string, port: number): Promise<void> {
  if (port === 0) return
  const server = createServer()
  try {
    await listen(server, host, port)
  } finally {
    server.close()
  }
}

function asSettingError(error: unknown, host: string, port: number): unknown {
  const { code } = error as NodeJS.ErrnoException
  switch (code) {
    case 'EADDRINUSE': {
      const free = port === 65_535 ? 3_000 : port + 1
      const text = `taken by another program on ${host}: stop it, or set PORT to a free port (PORT=${free})`
      return new SettingError('PORT', String(port), text)
    }
    case 'EACCES':
      return new SettingError(
        'PORT',
        String(port),
        'this system user may not listen there; allowed is 1024 or above',
      )
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EINVAL':
    case 'ENOTSUP':
      return new SettingError(
        'HOST',
        host,
        `no address of this machine (${code}); 0.0.0.0 is every IPv4 address it has`,
      )
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new SettingError('HOST', host, `no name server knows this name (${code})`)
    default:
      return error
  }
}
