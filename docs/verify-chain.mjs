// Verifies the hash chain of a trail without vmcp-audit, by docs/chain.md:
//   node verify-chain.mjs audit.jsonl.1 audit.jsonl
//   node verify-chain.mjs chain-vectors.json
// Needs Node 20 and nothing else. It holds a hash for each record, and takes an
// audit_loss event at its word: vmcp-audit verify also compares the counts.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const unhex = s => Buffer.from(s.replaceAll('-', ''), 'hex')
function link(stream, prev, seq, payload) {
  const n = Buffer.alloc(8)
  n.writeBigUInt64BE(BigInt(seq))
  return createHash('sha256').update('vmcp-audit/1').update(unhex(stream)).update(unhex(prev)).update(n).update(payload).digest('hex')
}

const ending = /^(\{.*),"integrity":\{"stream":"([0-9a-f-]{36})","seq":([1-9]\d*),"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}\}$/s
const streams = new Map(), problems = []
let records = 0

function record(place, line) {
  const m = ending.exec(line)
  if (!m) return problems.push(`${place}: added: no record`)
  const [, body, id, seqText, prev, hash] = m, seq = BigInt(seqText), payload = Buffer.from(body + '}', 'latin1')
  if (link(id, prev, seq, payload) !== hash) return problems.push(`${place}: changed: seq ${seq}`)
  let s = streams.get(id)
  if (!s) streams.set(id, (s = { last: seq - 1n, head: prev, hashes: new Map(), holes: [], losses: [] }))
  if (s.hashes.get(seq) === hash) return // delivered again
  records++
  if (seq <= s.last) return problems.push(`${place}: moved or added: seq ${seq}`)
  if (seq > s.last + 1n) s.holes.push({ place, first: s.last + 1n, last: seq - 1n })
  else if (prev !== s.head || (seq === 1n && /[^0]/.test(prev))) problems.push(`${place}: relinked: seq ${seq}`)
  s.hashes.set(seq, hash)
  s.last = seq
  s.head = hash
  const event = line.includes('"type":"audit_loss"') ? JSON.parse(payload) : {}
  if (event.type === 'audit_loss' && !event.loss.stream && event.loss.last_seq < seq) s.losses.push(event.loss)
}

for (const file of process.argv.slice(2)) {
  const text = readFileSync(file, 'latin1') // keeps every byte
  const vectors = file.endsWith('.json') ? JSON.parse(Buffer.from(text, 'latin1')) : null
  for (const v of vectors?.links ?? []) if (link(v.stream, v.prev, v.seq, v.payload) !== v.hash) problems.push(`${file}: link ${v.seq}`)
  const lines = vectors ? vectors.trail.map(l => Buffer.from(l).toString('latin1')) : text.split('\n')
  lines.forEach((line, i) => line && record(`${file}:${i + 1}`, line))
}
for (const [id, s] of streams)
  for (let { place, first, last } of s.holes) {
    for (let l; first <= last && (l = s.losses.find(l => l.first_seq <= first && first <= l.last_seq)); ) first = BigInt(l.last_seq) + 1n
    if (first <= last) problems.push(`${place}: lost: from seq ${first} to ${last} of stream ${id}`)
  }
for (const p of problems) console.error(p)
console.log(`${problems.length ? 'failed' : 'ok'}: ${records} records, ${streams.size} streams, ${problems.length} problems`)
process.exitCode = problems.length || !records ? 1 : 0
