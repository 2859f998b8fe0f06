// Parses each line of standard input, a JSON string, by the parser that the
// argument names, and writes what it understood as a line of JSON:
//
//   vector-cef, vector-syslog  parse_cef and parse_syslog of Vector's remap language
//   vector-leef, vector-leef1  its parse_key_value on the attributes of LEEF 2.0 and 1.0
//   nsyslog                    nsyslog-parser: {header, fields} of CEF or LEEF
//
// What a parser refuses is {"error": "..."}.
import { createInterface } from 'node:readline'
import nsyslog from 'nsyslog-parser'
import vrl from '@bpinternal/verel'

const remap = program => message => {
  const { errors } = vrl.check(program)
  if (errors.length) throw new Error(vrl.formatDiagnostic(errors[0]))
  return vrl.execute(program, { message }).result
}
const pairs = (fields, delimiter) => remap(`
parts = split(string!(.message), "|", limit: ${fields + 1})
. = parse_key_value!(parts[${fields}], key_value_delimiter: "=", field_delimiter: ${delimiter}, whitespace: "strict", accept_standalone_key: false)
`)
const parsers = {
  'vector-cef': remap('. = parse_cef!(.message)'),
  'vector-syslog': remap('. = parse_syslog!(.message)'),
  'vector-leef': pairs(6, 'string!(parts[5])'),
  'vector-leef1': pairs(5, '"\\t"'),
  nsyslog: line => {
    const { cef, leef, fields, err } = nsyslog(line)
    if (err) throw err
    return { header: cef ?? leef, fields: { ...fields } }
  },
}
const parse = parsers[process.argv[2]]

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let out
  try {
    out = parse(JSON.parse(line))
  } catch (e) {
    out = { error: String(e) }
  }
  console.log(JSON.stringify(out))
}
