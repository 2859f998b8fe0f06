// Runs one job: a client of one SDK goes through a script of operations
// against a URL, and what it saw is written to a file.
//
//   node drive.mjs JOB.json
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { Recorder } from './record.mjs';
import { sdks } from './sdk.mjs';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const recorder = new Recorder(job.client, job.headers);
const sdk = await sdks[job.sdk](job.client);
const { client } = sdk;

const asked = {}; // how often the server asked the client, by method
function answer(method, result) {
  sdk.handle(method, () => {
    asked[method] = (asked[method] ?? 0) + 1;
    return result;
  });
}
answer('roots/list', { roots: [{ uri: 'file:///srv/data', name: 'data' }] });
answer('elicitation/create', { action: 'accept', content: job.elicited });
answer('sampling/createMessage', { role: 'assistant', content: { type: 'text', text: 'well said' }, model: 'none' });

/** Waits for a condition: there is no other way to synchronise here. */
async function until(what, condition) {
  const deadline = Date.now() + 120_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await wait(5);
  }
}

let listening; // the open subscription

const operations = {
  ping: () => client.ping(),
  tools: () => client.listTools(),
  resources: () => client.listResources(),
  templates: () => client.listResourceTemplates(),
  prompts: () => client.listPrompts(),
  read: (s) => client.readResource({ uri: s.target }),
  subscribe: (s) => client.subscribeResource({ uri: s.target }),
  unsubscribe: (s) => client.unsubscribeResource({ uri: s.target }),
  prompt: (s) => client.getPrompt({ name: s.target, arguments: s.args }),
  complete: (s) => client.complete({ ref: s.ref, argument: s.args }),
  level: (s) => client.setLoggingLevel(s.target),
  roots: () => client.sendRootsListChanged(),
  listening: () => until('the GET stream is open', () => recorder.streaming()),
  asked: (s) => until(`the server has asked for ${s.target}`, () => (asked[s.target] ?? 0) >= s.times),
  listen: async () => (listening = await client.listen({ toolsListChanged: true })),
  unlisten: () => listening.close(),
  call,
};

async function call(s) {
  let progress = 0;
  const abort = new AbortController();
  const options = { signal: abort.signal };
  if (s.progress) {
    options.onprogress = () => {
      progress++;
      if (s.cancel) abort.abort(new Error('cancelled by the script'));
    };
  }
  const result = await sdk.callTool({ name: s.target, arguments: s.args }, options);
  // The SDK stops telling when the answer is there, so not all need have been told.
  if (s.progress && progress === 0) throw new Error('no progress message');
  return result;
}

/** Says in the words of the script how an operation came out. */
async function outcome(s) {
  try {
    const result = await operations[s.do](s);
    return [result?.isError ? 'tool_error' : 'ok'];
  } catch (error) {
    if (s.cancel && error.message.includes('cancelled by the script')) return ['cancelled', error];
    if (typeof error.code === 'number') return ['rpc_error', error];
    return ['broken', error];
  }
}

async function main() {
  const transport = sdk.transport(new URL(job.url), recorder.fetch);
  await client.connect(transport);
  for (const s of job.script) {
    const [came, error] = await outcome(s);
    if (s.method) recorder.step({ method: s.method, target: s.target ?? '', outcome: came });
    if (came !== s.want) throw new Error(`${s.do} ${s.target ?? ''}: ${came}, want ${s.want}: ${error}`);
  }
  await until('nothing is under way', () => recorder.underWay().length <= job.hanging);
  await transport.terminateSession?.();
  await client.close();
  await until('all has ended', () => recorder.underWay().length === 0);
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
recorder.write(job.view);
process.exit();
