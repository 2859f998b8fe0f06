// The two major versions of the TypeScript SDK, as one interface.

const capabilities = {
  roots: { listChanged: true },
  sampling: {},
  elicitation: { form: {}, url: {} },
};

async function v1(name) {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const types = await import('@modelcontextprotocol/sdk/types.js');
  const schemas = {
    'sampling/createMessage': types.CreateMessageRequestSchema,
    'elicitation/create': types.ElicitRequestSchema,
    'roots/list': types.ListRootsRequestSchema,
  };
  const client = new Client({ name, version: '1.32.2' }, { capabilities });
  return {
    client,
    transport: (url, fetch) => new StreamableHTTPClientTransport(url, { fetch }),
    handle: (method, answer) => client.setRequestHandler(schemas[method], answer),
    callTool: (params, options) => client.callTool(params, undefined, options),
  };
}

async function v2(name) {
  const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  const client = new Client({ name, version: '2.4.0' }, { capabilities, versionNegotiation: { mode: 'auto' } });
  return {
    client,
    transport: (url, fetch) => new StreamableHTTPClientTransport(url, { fetch }),
    handle: (method, answer) => client.setRequestHandler(method, answer),
    callTool: (params, options) => client.callTool(params, options),
  };
}

export const sdks = { v1, v2 };
