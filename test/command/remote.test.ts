/** What is said where the API server is away, refuses, or has no weft. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { openRemote } from '../../command/remote.ts';
import type { Where } from '../../command/types.ts';
import { kubeconfigFor } from './kubeconfig.ts';

async function serverOf(t: TestContext, status: number, body: object): Promise<string> {
  const server = createServer((_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  });
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const where = (t: TestContext, server: string): Where => ({
  node: undefined,
  kubeconfig: kubeconfigFor(t, server),
  context: undefined,
  namespace: 'weft',
});

async function said(t: TestContext, server: string): Promise<string> {
  const agents = await openRemote(where(t, server), {});
  t.after(() => agents.close());
  return agents.list().then(
    () => '',
    (error: Error) => error.message,
  );
}

test('an API server that is away: the mesh does not need it, and how to ask without it', async t => {
  const server = await serverOf(t, 200, {});
  const gone = server.replace(/\d+$/, '9');
  assert.match(
    await said(t, gone),
    /ECONNREFUSED.*: the API server does not answer\. The tunnels do not need it; on a node/,
  );
});

test('a right that is missing is named, and a cluster without weft', async t => {
  const refused = { kind: 'Status', message: 'pods is forbidden', reason: 'Forbidden', code: 403 };
  assert.match(
    await said(t, await serverOf(t, 403, refused)),
    /your user needs list on pods in that namespace/,
  );
  assert.match(
    await said(t, await serverOf(t, 200, { items: [] })),
    /no weft pods .* install weft, or say --namespace/,
  );
});
