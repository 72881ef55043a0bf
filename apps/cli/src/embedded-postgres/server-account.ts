import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { EmbeddedPostgresError } from './errors.ts'

/** The OS account the server runs as. PostgreSQL refuses to be root. */
export interface Account {
  uid: number
  gid: number
}

/**
 * How to start a program as the server's account: `prefix` goes before its command line, `spawnAs` to spawn.
 */
export interface Launch {
  /** Null = our own account (we are not root). */
  account: Account | null
  prefix: readonly string[]
  spawnAs: { uid?: number; gid?: number }
}

/** Either lets the server pass folders that only root may enter; containers often have only the second. */
const CAPABILITIES = [
  { name: 'dac_read_search', bit: 2n },
  { name: 'dac_override', bit: 1n },
] as const

/**
 * The account for a cluster: the owner of an existing cluster, else `postgres`, else `nobody`, since initdb
 * needs an entry in the password file. Null when we are not root. Throws EmbeddedPostgresError when root
 * finds no such account.
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
 * How to start `program` on `dir` as `account`. Both are absolute and exist, and `dir` belongs to `account`.
 * Directly when the account can reach both; else through setpriv with one ambient capability, which lets it
 * pass folders that only root may enter. Throws EmbeddedPostgresError with what to do when neither works.
 */
export function chooseLaunch(
  account: Account | null,
  program: string,
  dir: string,
  setpriv: string = 'setpriv',
): Launch {
  if (account === null) return { account, prefix: [], spawnAs: {} }
  const spawnAs = { uid: account.uid, gid: account.gid }
  if (canReach([], program, dir, spawnAs)) return { account, prefix: [], spawnAs }
  const capability = CAPABILITIES.find(({ bit }) => (effectiveCapabilities() >> bit) & 1n)
  if (capability !== undefined) {
    const prefix = [
      setpriv,
      `--reuid=${account.uid}`,
      `--regid=${account.gid}`,
      '--clear-groups',
      `--inh-caps=+${capability.name}`,
      `--ambient-caps=+${capability.name}`,
      // PostgreSQL looks for its own programs with access(2), which ignores an ambient capability unless this
      // is set.
      '--securebits=+no_setuid_fixup',
      '--',
    ]
    if (canReach(prefix, program, dir, {})) return { account, prefix, spawnAs: {} }
  }
  throw new EmbeddedPostgresError(
    `PostgreSQL refuses to run as root, and user ${account.uid} cannot reach ${program} and ${dir}. ` +
      'Do one of: install setpriv (Debian: util-linux) and keep the capability DAC_OVERRIDE; ' +
      'let others pass the folders above both ("chmod o+x"); start as another user; set SLUICE_DATABASE_URL',
  )
}

/**
 * The environment of PostgreSQL's programs: only our search path, and messages in English, since they are
 * parsed.
 */
export const SERVER_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
}

/** Tries it, and checks with access(2), as PostgreSQL does. */
function canReach(
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
  return commands.every((command) => succeeds([...prefix, ...command], spawnAs))
}

function succeeds(command: readonly string[], spawnAs: Launch['spawnAs']): boolean {
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
