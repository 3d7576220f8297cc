/** The agent's two small HTTP servers: health for the kubelet, status for people who are root on the node. */
import { renameSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export type Answer = { readonly status: number; readonly type: string; readonly body: string };

/** Path, or `POST PATH`, → answer. A path that is not here is a 404. */
export type Routes = Readonly<Record<string, (query: URLSearchParams) => Answer | Promise<Answer>>>;

export const json = (value: unknown, status = 200): Answer => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify(value, undefined, 2)}\n`,
});

export const text = (body: string, status = 200): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
});

async function answer(routes: Routes, request: IncomingMessage): Promise<Answer> {
  const [path = '/', query] = (request.url ?? '/').split('?', 2);
  const { method = 'GET' } = request;
  const name = method === 'GET' ? path : `${method} ${path}`;
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
  const known = Object.keys(routes).join(', ');
  if (route === undefined && (Object.hasOwn(routes, path) || Object.hasOwn(routes, `POST ${path}`)))
    return text(`${method} ${path} is not answered here; there are ${known}`, 405);
  if (route === undefined) return text(`no such path: ${path}; there are ${known}`, 404);
  try {
    return await route(new URLSearchParams(query));
  } catch (error) {
    return text(`internal error: ${error instanceof Error ? error.message : String(error)}`, 500);
  }
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

const serve = (routes: Routes): Server => {
  const server = createServer((request, response) => {
    void answer(routes, request).then(reply => send(response, reply));
  });
  server.unref();
  return server;
};

const listening = (server: Server, listen: () => void): Promise<Server> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => resolve(server));
    listen();
  });

/** An agent that was replaced by force may hold the port until it has ended. */
const TAKEN_MS = 60_000;
const AGAIN_MS = 250;

/** Rejects with the holder's errno where address and port stay taken for a minute. */
export async function serveTcp(
  routes: Routes,
  address: string,
  port: number,
  takenMs = TAKEN_MS,
): Promise<Server> {
  const end = performance.now() + takenMs;
  for (;;) {
    const server = serve(routes);
    try {
      return await listening(server, () => server.listen(port, address));
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!taken || performance.now() > end) throw error;
      await sleep(AGAIN_MS);
    }
  }
}

/**
 * Socket for root only; one that a killed agent left behind is replaced. Bound under another name and then renamed:
 * Node removes what it has bound, and an agent that ends late must not take its successor's socket away.
 */
export async function serveUnix(routes: Routes, path: string): Promise<Server> {
  const temporary = `${path}.${process.pid}`;
  rmSync(temporary, { force: true });
  const server = serve(routes);
  // Created closed: between listen and chmod nobody else may connect.
  const mask = process.umask(0o177);
  try {
    await listening(server, () => server.listen(temporary));
  } finally {
    process.umask(mask);
  }
  renameSync(temporary, path);
  return server;
}
