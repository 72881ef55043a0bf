import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { EmbeddedPostgresError } from './errors.ts'

/** The OS account the server runs as. PostgreSQL refuses to be root. */
export interface Account {
  uid: number
  gid: number
}

/** How a program is started as the server's account: put `prefix` before its command line, pass uid and gid to spawn. */
export interface Launch {
  /** Null = our own account (we are not root). */
  account: Account | null
  prefix: readonly string[]
  spawnAs: { uid?: number; gid?: number }
}

/** Reading and searching is all that is missing in root-only folders; containers often have only the second. */
const CAPABILITIES = [
  { name: 'dac_read_search', bit: 2n },
  { name: 'dac_override', bit: 1n },
] as const

/**
 * The account for a cluster: its owner when it exists, else `postgres`, else `nobody` (initdb needs an entry in the password file).
 * Null when we are not root. Throws EmbeddedPostgresError when root finds no such account.
 */
export function chooseAccount(clusterDir: string): Account | null {
  if (process.getuid?.() !== 0) return null
  const owner = statSync(clusterDir, { throwIfNoEntry: false })
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  const passwd = readFileSync('/etc/passwd', 'utf8')
  for (const name of ['postgres', 'nobody']) {
    const fields = passwd
      .split('\n')
      .map((line) => line.split(':'))
      .find((line) => line[0] === name)
    const uid = Number(fields?.[2])
    const gid = Number(fields?.[3])
    if (uid > 0 && Number.isInteger(gid)) return { uid, gid }
  }
  throw new EmbeddedPostgresError(
    'PostgreSQL refuses to run as root, and /etc/passwd has neither "postgres" nor "nobody" to run it as: ' +
      'create one ("useradd --system postgres"), start as another user, or set SLUICE_DATABASE_URL',
  )
}

/**
 * How to start `program` on `dir` (both absolute, both existing, `dir` owned by `account`) as `account`.
 * Plainly when that account can reach both; else through setpriv with one ambient capability, which lets it pass folders only root may enter.
 * Throws EmbeddedPostgresError with what to do when neither works.
 */
export function chooseLaunch(
  account: Account | null,
  program: string,
  dir: string,
  setpriv: string = 'setpriv',
): Launch {
  if (account === null) return { account, prefix: [], spawnAs: {} }
  const spawnAs = { uid: account.uid, gid: account.gid }
  if (reaches([], program, dir, spawnAs)) return { account, prefix: [], spawnAs }
  const capability = CAPABILITIES.find(({ bit }) => (effectiveCapabilities() >> bit) & 1n)
  if (capability !== undefined) {
    const prefix = [
      setpriv,
      `--reuid=${account.uid}`,
      `--regid=${account.gid}`,
      '--clear-groups',
      `--inh-caps=+${capability.name}`,
      `--ambient-caps=+${capability.name}`,
      // PostgreSQL looks for its own programs with access(2), which leaves out an ambient capability unless this is set.
      '--securebits=+no_setuid_fixup',
      '--',
    ]
    if (reaches(prefix, program, dir, {})) return { account, prefix, spawnAs: {} }
  }
  throw new EmbeddedPostgresError(
    `PostgreSQL refuses to run as root, and user ${account.uid} cannot reach ${program} and ${dir}. Do one of: ` +
      'install setpriv (Debian: util-linux) and keep the capability DAC_OVERRIDE; ' +
      'let others pass the folders above both ("chmod o+x"); start as another user; set SLUICE_DATABASE_URL',
  )
}

/** The environment of PostgreSQL's programs: nothing of ours but the search path; messages in English, since they are read here. */
export const SERVER_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
}

/** Tried for real, and with access(2), as PostgreSQL does it. */
function reaches(
  prefix: readonly string[],
  program: string,
  dir: string,
  spawnAs: Launch['spawnAs'],
): boolean {
  const commands = [
    ['test', '-x', program],
    ['test', '-w', dir],
    [program, '--version'],
  ]
  return commands.every((command) => probe([...prefix, ...command], spawnAs))
}

function probe(command: readonly string[], spawnAs: Launch['spawnAs']): boolean {
  const [file = '', ...args] = command
  return (
    spawnSync(file, args, {
      ...spawnAs,
      cwd: '/',
      env: { ...SERVER_ENVIRONMENT },
      stdio: 'ignore',
      timeout: 20_000,
    }).status === 0
  )
}

function effectiveCapabilities(): bigint {
  try {
    return BigInt(
      `0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`,
    )
  } catch {
    return 0n
  }
}
