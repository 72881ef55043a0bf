import { createSocket } from 'node:dgram'
import { once } from 'node:events'

export interface NameServer extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  address: string
  /** All questions so far, as `A name` or `AAAA name`. */
  questions: string[]
}

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 28: 'AAAA' }
const NAME_ERROR = 3

/**
 * Starts a real DNS server on loopback. `answers` returns a name's addresses, or undefined when there is no
 * such name; names in `silent` are never answered.
 */
export async function startNameServer(
  answers: (name: string, asked: number) => readonly string[] | undefined,
  silent: ReadonlySet<string> = new Set(),
): Promise<NameServer> {
  const questions: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (query, peer) => {
    const { name, type, end } = questionOf(query)
    const question = `${TYPES[type] ?? type} ${name}`
    const asked = questions.filter((earlier) => earlier === question).length
    questions.push(question)
    if (silent.has(name)) return
    const addresses = answers(name, asked)
    const records = (addresses ?? [])
      .map((address) => bytesOf(address))
      .filter((bytes) => bytes.length === (type === 1 ? 4 : 16))
    const header = Buffer.from([
      query[0] ?? 0,
      query[1] ?? 0,
      0x81,
      0x80 | (addresses === undefined ? NAME_ERROR : 0),
      0,
      1,
      0,
      records.length,
    ])
    const body = records.map((bytes) =>
      Buffer.concat([Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, bytes.length]), bytes]),
    )
    socket.send(
      Buffer.concat([header, Buffer.alloc(4), query.subarray(12, end), ...body]),
      peer.port,
      peer.address,
    )
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    questions,
    [Symbol.asyncDispose]: async () => {
      socket.close()
      await once(socket, 'close')
    },
  }
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function bytesOf(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number))
  // The URL parser normalises every notation to groups of hexadecimal digits.
  const [head = '', tail = ''] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groupsOf = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [start, end] = [groupsOf(head), groupsOf(tail)]
  const groups = [...start, ...Array<number>(8 - start.length - end.length).fill(0), ...end]
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}
