/** Serves the page on loopback. Whoever may open it sees what `weft status` shows its user. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { script, style } from './assets.ts';
import { content, page } from './html.ts';
import type { Report } from './types.ts';
import { viewOf } from './view.ts';

export type Dashboard = { readonly url: string; readonly close: () => Promise<void> };

type Answer = { readonly status: number; readonly type: string; readonly body: string };

const HTML = 'text/html; charset=utf-8';

/** Nothing from elsewhere, no frames, no forms. */
const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A page of another origin could point its own name at loopback; its requests say that name. */
const isLoopback = (host: string | undefined): boolean =>
  /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host ?? '');

async function answer(request: IncomingMessage, reports: () => Promise<readonly Report[]>): Promise<Answer> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const plain = (status: number, body: string): Answer => ({
    status,
    type: 'text/plain; charset=utf-8',
    body,
  });
  if (!isLoopback(request.headers.host)) return plain(403, 'only by localhost, 127.0.0.1 or [::1]\n');
  if (request.method !== 'GET') return plain(405, 'only GET\n');
  const chosen = searchParams.get('node') ?? undefined;
  switch (pathname) {
    case '/':
      return { status: 200, type: HTML, body: page(viewOf(await reports()), chosen) };
    case '/content':
      return { status: 200, type: HTML, body: content(viewOf(await reports()), chosen) };
    case '/style.css':
      return { status: 200, type: 'text/css; charset=utf-8', body: style };
    case '/live.js':
      return { status: 200, type: 'text/javascript; charset=utf-8', body: script };
    default:
      return plain(404, 'no such page\n');
  }
}

const send = (response: ServerResponse, { status, type, body }: Answer): void => {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'content-security-policy': POLICY,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
};

const failed = (error: unknown): Answer => ({
  status: 500,
  type: 'text/plain; charset=utf-8',
  body: `${error instanceof Error ? error.message : String(error)}\n`,
});

/** Port 0: any free one. Rejects where the port is taken. */
export async function serveDashboard(
  reports: () => Promise<readonly Report[]>,
  port: number,
): Promise<Dashboard> {
  const server = createServer((request, response) => {
    void answer(request, reports)
      .catch(failed)
      .then(reply => send(response, reply));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const close = (): Promise<void> =>
    new Promise(resolve => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url, close };
}
