// Records what a client's HTTP layer sent and received, byte for byte, and
// leaves the reading of it to the test.
import { writeFileSync } from 'node:fs';

export class Recorder {
  #client;
  #headers;
  #lines = [];
  #open = new Set();

  /** @param headers sent with every request, whatever the SDK says */
  constructor(client, headers) {
    this.#client = client;
    this.#headers = headers;
  }

  /** What one call of the SDK's interface came to. */
  step(step) {
    this.#lines.push({ kind: 'step', client: this.#client, ...step });
  }

  /** Requests whose answers have not ended, other than streams that stay open. */
  underWay() {
    return [...this.#open].filter((x) => !x.stream);
  }

  /** Whether a stream is open. */
  streaming() {
    return [...this.#open].some((x) => x.stream && x.status === 200);
  }

  fetch = async (url, init = {}) => {
    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(this.#headers)) headers.set(name, value);
    const x = {
      kind: 'exchange',
      client: this.#client,
      request: `${this.#client}-${this.#lines.length}`,
      http: init.method ?? 'GET',
      path: new URL(url).pathname,
      session: headers.get('mcp-session-id') ?? '',
      version: headers.get('mcp-protocol-version') ?? '',
      body: init.body ?? '',
      status: 0,
      answer: '',
      end: 'open',
      stream: (init.method ?? 'GET') === 'GET',
    };
    headers.set('x-request-id', x.request);
    this.#lines.push(x);
    this.#open.add(x);
    let response;
    try {
      response = await fetch(url, { ...init, headers });
    } catch (error) {
      this.#end(x, init.signal?.aborted ? 'closed' : 'broken');
      throw error;
    }
    x.status = response.status;
    x.type = response.headers.get('content-type') ?? '';
    x.newSession = response.headers.get('mcp-session-id') ?? '';
    if (!response.body) {
      this.#end(x, 'eof');
      return response;
    }
    return new Response(this.#watch(x, response.body, init.signal), response);
  };

  #watch(x, body, signal) {
    const reader = body.getReader();
    const text = new TextDecoder();
    return new ReadableStream(
      {
        pull: async (out) => {
          try {
            const { done, value } = await reader.read();
            if (done) {
              this.#end(x, 'eof');
              out.close();
              return;
            }
            x.answer += text.decode(value, { stream: true });
            out.enqueue(value);
          } catch (error) {
            this.#end(x, signal?.aborted ? 'closed' : 'broken');
            out.error(error);
          }
        },
        cancel: (reason) => {
          this.#end(x, 'closed');
          return reader.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  #end(x, how) {
    if (x.end === 'open') x.end = how;
    this.#open.delete(x);
  }

  write(path) {
    writeFileSync(path, this.#lines.map((line) => JSON.stringify(line) + '\n').join(''));
  }
}
