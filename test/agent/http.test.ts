import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serveTcp, serveUnix, text } from '../../agent/http.ts';

let dir: string;
let path: string;

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'weft-http-'));
  path = join(dir, 'status.sock');
});

after(() => rmSync(dir, { recursive: true, force: true }));

const ask = (socketPath: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const req = request({ socketPath, path: '/', timeout: 5_000, agent: false }, response => {
      let body = '';
      response.on('data', chunk => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
    });
    req.on('error', reject);
    req.end();
  });

const closed = (server: Server): Promise<void> => new Promise(resolve => server.close(() => resolve()));

const serve = (word: string): Promise<Server> => serveUnix({ '/': () => text(word) }, path);

test('a file that was left behind is replaced, by a socket for its owner alone', async () => {
  writeFileSync(path, 'left');
  const server = await serve('one');
  assert.match(await ask(path), /^one/);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await closed(server);
});

test('one that ends after its successor has begun leaves the successor’s socket alone', async () => {
  const [old, next] = [await serve('old'), await serve('next')];
  await closed(old);
  assert.match(await ask(path), /^next/);
  await closed(next);
});

test('a port that a predecessor holds for a moment is had when it goes; one that stays taken is an error', async () => {
  const routes = { '/': () => text('health') };
  const old = await serveTcp(routes, '127.0.0.1', 0);
  const { port } = old.address() as { port: number };
  await assert.rejects(serveTcp(routes, '127.0.0.1', port, 0), { code: 'EADDRINUSE' });
  const waiting = serveTcp(routes, '127.0.0.1', port);
  await closed(old);
  await closed(await waiting);
});
