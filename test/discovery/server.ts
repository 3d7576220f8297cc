/** A scripted API server for Nodes: real HTTP, and every way in which one can misbehave, on demand. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Meta = {
  name: string;
  uid: string;
  creationTimestamp: string;
  resourceVersion: string;
  annotations: Record<string, string>;
  labels?: Record<string, string>;
};
export type TestNode = { metadata: Meta; spec: { podCIDRs?: string[] }; status: { addresses: object[] } };

export type Answer = {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
};

export type TestServer = {
  readonly url: string;
  /** `METHOD path?query` of every request so far. */
  readonly requests: string[];
  readonly bodies: unknown[];
  readonly events: unknown[];
  readonly nodes: Map<string, TestNode>;
  /** Adds or changes a Node and tells the watchers. */
  put(
    name: string,
    change?: {
      annotations?: Record<string, string | null>;
      podCIDRs?: string[];
      addresses?: object[];
      uid?: string;
    },
  ): TestNode;
  remove(name: string): void;
  /** Removes without telling anybody. */
  forget(name: string): void;
  bookmark(): void;
  /** Bytes to every watcher as they are. */
  raw(text: string): void;
  /** Breaks every connection. */
  cut(): void;
  /** Ends every watch as the server does after timeoutSeconds. */
  endWatches(): void;
  watchers(): number;
  /** From now on versions before this moment are 410. */
  compact(): void;
  /** Called first for every request: an answer instead of the real one, 'hang', or nothing. */
  script: (request: {
    method: string;
    path: string;
    query: URLSearchParams;
    accept: string;
    auth: string;
  }) => Answer | 'hang' | undefined;
  setVersion(version: number): void;
  close(): Promise<void>;
  /** The same port and Nodes again after close. */
  reopen(): Promise<void>;
};

const status = (code: number, reason: string, message = reason) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  code,
  reason,
  message,
});

const partial = (node: TestNode) => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata: node.metadata,
});

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text === '' ? undefined : JSON.parse(text);
}

/** Listens on loopback. */
export async function startServer(): Promise<TestServer> {
  const nodes = new Map<string, TestNode>();
  const log: { version: number; line: string }[] = [];
  const watchers = new Set<ServerResponse>();
  let version = 100;
  let compacted = 0;
  let server: Server;
  let port = 0;

  const tell = (type: string, node: TestNode): void => {
    const line = `${JSON.stringify({ type, object: partial(node) })}\n`;
    log.push({ version, line });
    for (const watcher of watchers) watcher.write(line);
  };

  const send = (response: ServerResponse, answer: Answer): void => {
    response.writeHead(answer.status, { 'Content-Type': 'application/json', ...answer.headers });
    response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
  };

  const watch = (response: ServerResponse, query: URLSearchParams): void => {
    const from = Number(query.get('resourceVersion'));
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.flushHeaders();
    if (from < compacted) {
      response.end(
        `${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired', 'too old resource version') })}\n`,
      );
      return;
    }
    for (const event of log) if (event.version > from) response.write(event.line);
    watchers.add(response);
    response.on('close', () => watchers.delete(response));
  };

  const list = (response: ServerResponse, query: URLSearchParams, accept: string): void => {
    const all = [...nodes.values()].sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
    const limit = Number(query.get('limit') ?? 1e9);
    const start = Number(query.get('continue') ?? 0);
    const more = start + limit < all.length ? String(start + limit) : undefined;
    const items = all
      .slice(start, start + limit)
      .map(node => (accept.includes('PartialObjectMetadata') ? partial(node) : node));
    send(response, {
      status: 200,
      body: { kind: 'List', metadata: { resourceVersion: String(version), continue: more }, items },
    });
  };

  const patch = async (request: IncomingMessage, response: ServerResponse, name: string): Promise<void> => {
    const body = (await bodyOf(request)) as { metadata: { annotations: Record<string, string | null> } };
    self.bodies.push(body);
    const node = self.put(name, { annotations: body.metadata.annotations });
    send(response, { status: 200, body: node });
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://x');
    const method = request.method ?? '';
    const accept = request.headers.accept ?? '';
    self.requests.push(`${method} ${request.url}`);
    const scripted = self.script({
      method,
      path: url.pathname,
      query: url.searchParams,
      accept,
      auth: request.headers.authorization ?? '',
    });
    if (scripted === 'hang') return;
    if (scripted !== undefined) return send(response, scripted);
    const name = /^\/api\/v1\/nodes\/([^/]+)$/.exec(url.pathname)?.[1];
    if (method === 'POST' && url.pathname.endsWith('/events')) {
      self.events.push(await bodyOf(request));
      return send(response, { status: 201, body: {} });
    }
    if (url.pathname === '/api/v1/nodes' && url.searchParams.get('watch') === 'true')
      return watch(response, url.searchParams);
    if (url.pathname === '/api/v1/nodes') return list(response, url.searchParams, accept);
    const node = nodes.get(name ?? '');
    if (name === undefined || node === undefined)
      return send(response, { status: 404, body: status(404, 'NotFound') });
    if (method === 'PATCH') return patch(request, response, name);
    send(response, { status: 200, body: node });
  };

  const open = async (): Promise<void> => {
    server = createServer((request, response) => void serve(request, response));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  };

  const self: TestServer = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    requests: [],
    bodies: [],
    events: [],
    nodes,
    put: (name, change = {}) => {
      const before = nodes.get(name);
      version += 1;
      const annotations = Object.entries({ ...before?.metadata.annotations, ...change.annotations });
      const node: TestNode = {
        metadata: {
          name,
          uid: change.uid ?? before?.metadata.uid ?? `uid-${name}`,
          creationTimestamp: before?.metadata.creationTimestamp ?? '2026-01-01T00:00:00Z',
          resourceVersion: String(version),
          annotations: Object.fromEntries(annotations.filter((e): e is [string, string] => e[1] !== null)),
        },
        spec: change.podCIDRs ? { podCIDRs: change.podCIDRs } : (before?.spec ?? {}),
        status: { addresses: change.addresses ?? before?.status.addresses ?? [] },
      };
      nodes.set(name, node);
      tell(before ? 'MODIFIED' : 'ADDED', node);
      return node;
    },
    remove: name => {
      const node = nodes.get(name);
      if (node === undefined) throw new Error(`no node ${name}`);
      nodes.delete(name);
      version += 1;
      tell('DELETED', { ...node, metadata: { ...node.metadata, resourceVersion: String(version) } });
    },
    forget: name => {
      nodes.delete(name);
      version += 1;
    },
    bookmark: () => {
      const object = { metadata: { resourceVersion: String(version) } };
      for (const watcher of watchers) watcher.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
    },
    raw: text => {
      for (const watcher of watchers) watcher.write(text);
    },
    cut: () => server.closeAllConnections(),
    endWatches: () => {
      for (const watcher of watchers) watcher.end();
      watchers.clear();
    },
    watchers: () => watchers.size,
    compact: () => {
      version += 1;
      compacted = version;
    },
    script: () => undefined,
    setVersion: next => {
      version = next;
      log.length = 0;
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
    reopen: open,
  };
  await open();
  return self;
}
