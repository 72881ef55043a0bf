import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { S3Client } from '@aws-sdk/client-s3'
import type { Environment } from '@sluice/shared/settings'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { readConfig } from '../apps/api/src/config/config.ts'
import { ALL_ROUTES } from '../apps/api/src/routes/all-routes.ts'
import { readWorkerConfig } from '../apps/worker/src/config.ts'
import { takeWorkerFolder } from '../apps/worker/src/worker-folder.ts'
import {
  environmentOf,
  interpolate,
  readCompose,
  referencesIn,
  type Service,
} from './support/compose-file.ts'
import { copiesOf, dockerIgnore, gitIgnore, readStages, restsOf, type Stage } from './support/dockerfile.ts'
import { importClosure } from './support/import-closure.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const { text, compose } = readCompose(root)
const isIgnored = dockerIgnore(root)
const isGitIgnored = gitIgnore(root)

/** What the line at the top of the file would write into .env. */
const secrets = Object.fromEntries(
  secretNames().map((name, index) => [
    name,
    createHash('sha256').update(String(index)).digest('hex').slice(0, 48),
  ]),
)

const api = service('api')
const worker = service('worker')
const apiEnvironment = environmentOf(api, secrets)
const workerEnvironment = environmentOf(worker, secrets)

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('secrets', () => {
  const secretLike = /PASSWORD|SECRET|TOKEN|_KEY/
  /** Keys to services of others, which a deployment may do without: empty unless they are given. */
  const ofOthers = new Set(['SLUICE_MODERATION_KEY', 'SLUICE_REFINER_KEY', 'SLUICE_STRIPE_WEBHOOK_SECRET'])

  test('the line that makes .env makes each required variable, and nothing else', () => {
    const required = referencesIn(text).filter((reference) => reference.isRequired)
    expect(new Set(secretNames())).toEqual(new Set(required.map((reference) => reference.name)))
  })

  test('no secret has a default, and none stands in the file', () => {
    for (const reference of referencesIn(text).filter(({ name }) => secretLike.test(name))) {
      if (ofOthers.has(reference.name)) expect(reference.fallback, reference.name).toBe('')
      else expect(reference.isRequired, `${reference.name} may be left out`).toBe(true)
    }
    for (const [name, { environment }] of Object.entries(compose.services)) {
      for (const [variable, value] of Object.entries(environment).filter(([candidate]) =>
        secretLike.test(candidate),
      )) {
        if (ofOthers.has(variable)) continue
        expect(value, `${name}: ${variable}`).toMatch(/^\$\{\w+:\?[^}]+\}$/)
      }
      for (const value of Object.values(environment)) {
        const password = /:\/\/[^/@:]*:(.*)@/.exec(value)?.[1]
        if (password !== undefined) expect(password, `${name}: a URL`).toMatch(/^\$\{\w+:\?[^}]+\}$/)
      }
    }
  })

  test('.env stays out of the images, and .env.example names exactly what the file refers to', () => {
    expect(isIgnored('.env')).toBe(true)
    const example = readFileSync(join(root, '.env.example'), 'utf8')
    const named = [...example.matchAll(/^#?([A-Z][A-Z0-9_]*)=/gm)].map((match) => match[1])
    expect(new Set(named)).toEqual(new Set(referencesIn(text).map((reference) => reference.name)))
    for (const name of secretNames()) expect(example).toMatch(new RegExp(`^${name}=$`, 'm'))
  })
})

describe('the API', () => {
  const config = readConfig(apiEnvironment)

  test('may use more memory than the least that is documented', () => {
    expect(interpolate(service('api').mem_limit ?? '', {})).toBe('1g')
    const documentedMib = /at least \*\*(\d+) MiB\*\*/.exec(
      readFileSync(join(root, 'docs/settings.md'), 'utf8'),
    )
    expect(Number(documentedMib?.[1])).toBeLessThan(1_024)
  })

  test('is given nothing that it does not read', async () => {
    const read = new Set([
      ...readBy((env) => readConfig(env), apiEnvironment),
      // The secret signs URLs of the disk store, so it is read where S3 is not set.
      ...readBy((env) => readConfig(env), without(apiEnvironment, 'SLUICE_S3_ENDPOINT')),
      // What belongs to a service of others is read where that is set.
      ...readBy((env) => readConfig(env), {
        ...apiEnvironment,
        SLUICE_MODERATION_URL: 'http://moderation',
        SLUICE_REFINER_URL: 'http://refiner',
        SLUICE_REFINER_MODEL: 'writer',
      }),
    ])
    expect(Object.keys(apiEnvironment).filter((name) => !read.has(name))).toEqual([])
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) vi.stubEnv(name, apiEnvironment[name])
    const credentials = await new S3Client({ region: 'us-east-1' }).config.credentials()
    expect(credentials).toMatchObject({
      accessKeyId: secrets.S3_ACCESS_KEY,
      secretAccessKey: secrets.S3_SECRET_KEY,
    })
  })

  test('listens on the port that is published, exposed and asked for its health, to the other containers too', () => {
    expect(config.http.host).toBe('0.0.0.0')
    expect(containerPorts(api)).toEqual([config.http.port])
    expect(restsOf(lastStage(api), 'EXPOSE')).toEqual([String(config.http.port)])
    const asked = urlIn(healthcheckOf(api))
    expect(asked.href).toBe(`http://127.0.0.1:${config.http.port}/health`)
    expect(config.http.publicUrl).toBe(`http://${defaultOf('API_LISTEN')}`)
  })

  test('keeps its data dir on a volume', () => {
    expect(mountsOf(api)).toEqual([config.dataDir])
  })

  test('uses the database, the queue and the store of this file', () => {
    const postgres = service('postgres')
    const s3 = environmentOf(service('s3'), secrets)
    const database = new URL(config.database.url)
    expect(database).toMatchObject({
      hostname: 'postgres',
      port: '5432',
      pathname: `/${postgres.environment.POSTGRES_DB}`,
    })
    expect(database).toMatchObject({
      username: postgres.environment.POSTGRES_USER,
      password: secrets.POSTGRES_PASSWORD,
    })
    expect(config.queue).toEqual({ backend: 'redis', url: `redis://:${secrets.REDIS_PASSWORD}@redis:6379` })
    expect(config.store).toEqual({
      kind: 's3',
      bucket: 'sluice',
      region: s3.VGW_REGION,
      forcePathStyle: true,
      endpoint: `http://s3${s3.VGW_PORT}`,
      publicEndpoint: `http://${defaultOf('S3_LISTEN')}`,
    })
    expect([s3.ROOT_ACCESS_KEY, s3.ROOT_SECRET_KEY]).toEqual([
      apiEnvironment.AWS_ACCESS_KEY_ID,
      apiEnvironment.AWS_SECRET_ACCESS_KEY,
    ])
  })

  test('has the page that its image builds where it looks for it', () => {
    const app = readFileSync(join(root, 'apps/api/src/app.ts'), 'utf8')
    const wanted = /new URL\('([^']+)', import\.meta\.url\)/.exec(app)?.[1] ?? ''
    const page = new URL(wanted, 'file:///apps/api/src/app.ts').pathname.slice(1)
    const copied = copiesOf(lastStage(api)).find((copy) => copy.destination === page)
    expect(copied).toEqual({ stage: 'console', sources: [`/app/${page}`], destination: page })
    const stage = stagesOf(api).find((candidate) => candidate.alias === 'console')
    expect(restsOf(stage ?? lastStage(api), 'RUN').at(-1)).toBe('npm run build --workspace=@sluice/console')
    const inherited = JSON.parse(readFileSync(join(root, 'apps/console/tsconfig.json'), 'utf8')).extends
    const needed = new URL(inherited, 'file:///apps/console/tsconfig.json').pathname.slice(1)
    expect(stage === undefined ? [] : copiesOf(stage).flatMap((copy) => copy.sources)).toContain(needed)
  })
})

describe('the worker', () => {
  const config = readWorkerConfig(workerEnvironment)

  test('can be scaled: it has no name, host name or port that only one replica can have, and a folder of its own in the shared volume', async () => {
    const { container_name, hostname, ports } = worker
    expect({ container_name, hostname, ports }).toEqual({ ports: [] })
    const dataDir = await mkdtemp(join(tmpdir(), 'sluice-scaled-'))
    onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
    const folders = await Promise.all([1, 2, 3].map(() => takeWorkerFolder(dataDir)))
    for (const folder of folders) onTestFinished(() => folder.lock.leave())
    expect(new Set(folders.map((folder) => folder.worker)).size).toBe(3)
    expect(new Set(folders.map((folder) => folder.workDir)).size).toBe(3)
  })

  test('is given nothing that it does not read', () => {
    const read = readBy((env) => readWorkerConfig(env), workerEnvironment)
    expect(Object.keys(workerEnvironment).filter((name) => !read.has(name))).toEqual([])
  })

  test('holds no credential of the database or the store, and no network leads it to the database', () => {
    expect(worker.env_file).toBeUndefined()
    const others = ['POSTGRES_PASSWORD', 'S3_ACCESS_KEY', 'S3_SECRET_KEY', 'SLUICE_SECRET'].map(
      (name) => secrets[name] ?? name,
    )
    for (const [name, value] of Object.entries(workerEnvironment)) {
      expect(name).not.toMatch(/^(SLUICE_DATABASE_URL|SLUICE_S3_\w+|AWS_\w+|SLUICE_SECRET|PG\w+)$/)
      expect(others.filter((secret) => value.includes(secret)).length, name).toBe(0)
    }
    const shared = service('postgres').networks.filter((network) => worker.networks.includes(network))
    expect(shared).toEqual([])
  })

  test('reaches the API and the queue of this file', () => {
    expect(config.apiUrl).toBe(`http://api:${apiEnvironment.PORT}`)
    expect(config.token).toBe(apiEnvironment.SLUICE_WORKER_TOKEN)
    expect(config.queue).toEqual({ backend: 'redis', url: apiEnvironment.REDIS_URL })
    expect(config.models.map(({ id }) => id)).toEqual([readConfig(apiEnvironment).defaultModel])
  })

  test('keeps its data dir on a volume', () => {
    expect(mountsOf(worker)).toEqual([config.dataDir])
  })

  test('counts as healthy when a video can be made', () => {
    expect(urlIn(healthcheckOf(worker)).href).toBe(`http://api:${apiEnvironment.PORT}/ready`)
  })

  test('on a GPU host starts with the three things that the file names', () => {
    const comment = text.slice(text.indexOf('holds three'), text.indexOf('  worker:\n'))
    const three = Object.fromEntries(
      [...comment.matchAll(/^ {2}# {3}([A-Z_]+)=(\S+)/gm)].map(([, name = '', value = '']) => [name, value]),
    )
    expect(Object.keys(three)).toEqual(['SLUICE_API_URL', 'SLUICE_WORKER_TOKEN', 'REDIS_URL'])
    const slots = /SLUICE_SLOTS="([^"]+)"/.exec(comment)?.[1] ?? ''
    const gpu = { ...three, SLUICE_RUNNER: 'open-sora', OPENSORA_HOME: '/opt/Open-Sora', SLUICE_SLOTS: slots }
    expect(comment).toContain('SLUICE_RUNNER=open-sora, OPENSORA_HOME=/opt/Open-Sora,')
    const read = readWorkerConfig({ ...gpu, SLUICE_WORKER_TOKEN: workerEnvironment.SLUICE_WORKER_TOKEN })
    expect(read).toMatchObject({ models: [{ id: 'open-sora-2' }], slots: ['0', '1', '2', '3'] })
    expect(read.runner.environment).toMatchObject({ OPENSORA_HOME: '/opt/Open-Sora' })
  })
})

describe('images and folders', () => {
  const built = Object.entries(compose.services).flatMap(([name, { build }]) =>
    build === undefined ? [] : [{ name, ...build }],
  )

  test.each(built)(
    '$dockerfile copies only what is in the repository and in the build context',
    ({ context, dockerfile }) => {
      expect(context).toBe('.')
      const stages = readStages(join(root, dockerfile))
      for (const copy of stages.flatMap(copiesOf)) {
        if (copy.stage !== null) {
          expect(stages.map((stage) => stage.alias)).toContain(copy.stage)
          continue
        }
        for (const source of copy.sources) {
          expect(existsSync(join(root, source)), source).toBe(true)
          expect(isIgnored(source), `${source} and .dockerignore`).toBe(false)
          expect(isGitIgnored(source), `${source} and .gitignore`).toBe(false)
        }
      }
    },
  )

  test.each(built)(
    '$dockerfile runs the pinned major of Node, as no root, with the packages the lock names',
    ({ dockerfile }) => {
      const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
      const stages = readStages(join(root, dockerfile))
      expect(stages[0]?.from).toMatch(new RegExp(`^node:${devDependencies.node.split('.')[0]}-`))
      for (const stage of stages.slice(1)) expect(stage.from).toBe(stages[0]?.alias)
      const installs = stages
        .flatMap((stage) => restsOf(stage, 'RUN'))
        .filter((command) => command.startsWith('npm install'))
      expect(installs.length).toBeGreaterThan(0)
      for (const install of installs) expect(install).toContain('--omit=dev')
      for (const command of stages.flatMap((stage) => restsOf(stage, 'RUN')))
        expect(command).not.toContain('npm ci')
      expect(
        stages
          .filter((stage) => restsOf(stage, 'RUN').length > 0)
          .flatMap((stage) => copiesOf(stage)[0]?.sources ?? []),
      ).toContain('package-lock.json')
      const last = stages.at(-1)
      expect(last === undefined ? [] : restsOf(last, 'USER')).toEqual(['node'])
    },
  )

  test.each([
    { name: 'api', more: [] },
    { name: 'worker', more: ['runners/animatic/src/main.ts'] },
  ])("the $name's image holds every file and package that its program loads", ({ name, more }) => {
    const stages = stagesOf(service(name))
    const last = lastStage(service(name))
    const entry = programOf(last)
    expect(entry).toBe(`apps/${name}/src/main.ts`)
    const copied = copiesOf(last).flatMap((copy) => (copy.stage === null ? copy.sources : []))
    const { files, packages } = importClosure(root, [entry, ...more])
    for (const file of files) {
      expect(
        copied.some((folder) => file.startsWith(`${folder}/`)) && !isIgnored(file),
        `${file} is in the image`,
      ).toBe(true)
    }
    const manifests = stages
      .filter((stage) => stage.alias === 'packages')
      .flatMap(copiesOf)
      .flatMap((copy) => copy.sources.filter((source) => /\/package\.json$/.test(source)))
      .map((path) => JSON.parse(readFileSync(join(root, path), 'utf8')))
    const install =
      stages.flatMap((stage) => restsOf(stage, 'RUN')).find((command) => command.startsWith('npm install')) ??
      ''
    for (const manifest of manifests) expect(install).toContain(`--workspace=${manifest.name} `)
    const installed = manifests.flatMap((manifest) => Object.keys(manifest.dependencies ?? {}))
    for (const [wanted, askers] of packages)
      expect(installed, `${wanted}, which ${askers[0]} imports`).toContain(wanted)
  })

  test("the worker's runner is started from a file that is in its image", () => {
    const { command } = readWorkerConfig(workerEnvironment).runner
    expect(command.at(-1)).toBe(join(root, 'runners/animatic/src/main.ts'))
  })

  test.each(['api', 'worker'])('what the %s writes belongs to the user that it runs as', (name) => {
    const last = lastStage(service(name))
    const [folder] = mountsOf(service(name))
    expect(restsOf(last, 'RUN')).toEqual([`mkdir ${folder} && chown node:node ${folder}`])
    expect(restsOf(last, 'VOLUME')).toEqual([folder])
    expect(restsOf(last, 'ENV')).toEqual([`SLUICE_DATA_DIR=${folder}`])
  })
})

describe('services', () => {
  test('only the API and the S3 server are published, on this machine alone unless the operator says otherwise', () => {
    const published = Object.entries(compose.services).filter(([, { ports }]) => ports.length > 0)
    expect(published.map(([name]) => name).sort()).toEqual(['api', 's3'])
    for (const [, { ports }] of published)
      expect(interpolate(ports[0] ?? '', {})).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
    expect(containerPorts(service('s3'))).toEqual([Number(service('s3').environment.VGW_PORT?.slice(1))])
  })

  test('each has a healthcheck, a restart policy and volumes that exist; each volume has a user', () => {
    for (const [name, { healthcheck, restart, volumes }] of Object.entries(compose.services)) {
      expect(healthcheck, name).toBeDefined()
      expect(restart, name).toBe('unless-stopped')
      for (const volume of volumes) expect(Object.keys(compose.volumes), name).toContain(volume.split(':')[0])
    }
    const used = Object.values(compose.services).flatMap(({ volumes }) =>
      volumes.map((volume) => volume.split(':')[0]),
    )
    expect(used.sort()).toEqual(Object.keys(compose.volumes).sort())
  })

  test('each waits for what it needs to be healthy, and shares a network with what it talks to', () => {
    const needs = Object.fromEntries(
      Object.entries(compose.services).map(([name, { depends_on }]) => [
        name,
        Object.keys(depends_on).sort(),
      ]),
    )
    expect(needs).toEqual({
      postgres: [],
      redis: [],
      s3: [],
      api: ['postgres', 'redis', 's3'],
      worker: ['api'],
    })
    for (const [name, { depends_on, networks, environment }] of Object.entries(compose.services)) {
      for (const { condition } of Object.values(depends_on)) expect(condition, name).toBe('service_healthy')
      for (const network of networks) expect(Object.keys(compose.networks)).toContain(network)
      const hosts = Object.values(environment).flatMap((value) => hostOf(interpolate(value, secrets)))
      for (const host of hosts.filter((candidate) => candidate in compose.services)) {
        const shared = service(host).networks.filter((network) => networks.includes(network))
        expect(shared, `${name} and ${host}`).not.toEqual([])
      }
    }
  })

  test('PostgreSQL keeps its data on the volume and is asked for the database the API uses', () => {
    const postgres = service('postgres')
    expect(postgres.image).toBe('postgres:18')
    // Since 18 the image's data lies in /var/lib/postgresql/<major>/docker, and its own volume is the folder
    // above.
    expect(mountsOf(postgres)).toEqual(['/var/lib/postgresql'])
    const { POSTGRES_USER, POSTGRES_DB } = postgres.environment
    expect(healthcheckOf(postgres)).toEqual([
      'CMD',
      'pg_isready',
      '--host=127.0.0.1',
      `--username=${POSTGRES_USER}`,
      `--dbname=${POSTGRES_DB}`,
    ])
  })

  test('Redis writes everything down, evicts nothing and asks for a password', () => {
    const redis = service('redis')
    const options = redis.command.slice(1).map((option) => interpolate(option, secrets))
    expect(options).toEqual([
      '--appendonly',
      'yes',
      '--maxmemory-policy',
      'noeviction',
      '--requirepass',
      secrets.REDIS_PASSWORD,
    ])
    expect(mountsOf(redis)).toEqual(['/data'])
    expect(environmentOf(redis, secrets)).toEqual({ REDISCLI_AUTH: secrets.REDIS_PASSWORD })
  })

  test('the S3 server keeps its objects on the volume and is asked where it answers', () => {
    const { VGW_BACKEND, VGW_BACKEND_ARG, VGW_PORT, VGW_HEALTH } = service('s3').environment
    expect(VGW_BACKEND).toBe('posix')
    expect(mountsOf(service('s3'))).toEqual([VGW_BACKEND_ARG])
    expect(urlIn(healthcheckOf(service('s3'))).href).toBe(`http://127.0.0.1${VGW_PORT}${VGW_HEALTH}`)
  })

  test.each(['api', 'worker'])(
    "the %s's healthcheck fails when the answer is not 200, and when there is none",
    async (name) => {
      const [kind, program, ...rest] = healthcheckOf(service(name))
      expect([kind, program]).toEqual(['CMD', 'node'])
      let status = 200
      const server = createServer((request, response) =>
        response.writeHead(request.url === path ? status : 404).end(),
      )
      const path = urlIn(rest).pathname
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      const script = rest.map((word) => word.replace(/http:\/\/[\w.]+:\d+/, `http://127.0.0.1:${port}`))
      const check = () =>
        run(process.execPath, script, { env: {} }).then(
          () => 0,
          (error: { code: number }) => error.code,
        )
      expect(await check()).toBe(0)
      status = 503
      expect(await check()).toBe(1)
      await new Promise((resolve) => server.close(resolve))
      expect(await check()).toBe(1)
    },
  )

  test('what healthchecks ask for is what the API answers', () => {
    const paths = ALL_ROUTES.map((route) => route.path)
    for (const name of ['api', 'worker'])
      expect(paths).toContain(urlIn(healthcheckOf(service(name))).pathname)
  })

  test('keys.json is read from where the API writes it', () => {
    const { dataDir } = readConfig(apiEnvironment)
    const told = [text, readFileSync(join(root, 'README.md'), 'utf8')]
    for (const page of told) expect(page).toContain(`docker compose exec api cat ${dataDir}/keys.json`)
  })
})

function secretNames(): string[] {
  return /for name in ([A-Z0-9_ ]+); do/.exec(text)?.[1]?.split(' ') ?? []
}

function service(name: string): Service {
  const found = compose.services[name]
  if (found === undefined) throw new Error(`docker-compose.yml has no service ${name}`)
  return found
}

function stagesOf({ build }: Service): Stage[] {
  return readStages(join(root, build?.dockerfile ?? ''))
}

function lastStage(built: Service): Stage {
  const stage = stagesOf(built).at(-1)
  if (stage === undefined) throw new Error('a Dockerfile without a stage')
  return stage
}

/** The file that CMD gives to Node. */
function programOf(stage: Stage): string {
  const [program, file] = JSON.parse(restsOf(stage, 'CMD')[0] ?? '[]')
  expect(program).toBe('node')
  return file
}

function containerPorts({ ports }: Service): number[] {
  return ports.map((port) => Number(port.split(':').at(-1)))
}

function mountsOf({ volumes }: Service): string[] {
  return volumes.map((volume) => volume.split(':')[1] ?? '')
}

function healthcheckOf({ healthcheck }: Service): string[] {
  return healthcheck?.test ?? []
}

function urlIn(words: readonly string[]): URL {
  return new URL(/https?:\/\/[^\s'"]+/.exec(words.join(' '))?.[0] ?? '')
}

function hostOf(value: string): string[] {
  return URL.canParse(value) ? [new URL(value).hostname] : []
}

function defaultOf(name: string): string {
  return referencesIn(text).find((reference) => reference.name === name)?.fallback ?? ''
}

function without(env: Environment, name: string): Environment {
  return Object.fromEntries(Object.entries(env).filter(([key]) => key !== name))
}

/** The names a program asks its environment for one by one; a sweep over all of it does not count. */
function readBy(read: (env: Environment) => unknown, env: Environment): Set<string> {
  const names = new Set<string>()
  const watched = new Proxy(env, {
    get: (target, name) => {
      if (typeof name === 'string') names.add(name)
      return Reflect.get(target, name)
    },
    ownKeys: () => [],
  })
  read(watched)
  return names
}
