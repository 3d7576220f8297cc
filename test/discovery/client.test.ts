import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ApiError, isExpired, isForbidden, isNotFound } from '../../discovery/api-error.ts';
import { openClient } from '../../discovery/client.ts';
import { findAccess, readCredentials } from '../../discovery/kubeconfig.ts';
import { clientFor, pause, temporaryFolder, until } from './helpers.ts';
import { startServer } from './server.ts';

function folderFor(t: TestContext): string {
  const folder = temporaryFolder();
  t.after(folder.remove);
  return folder.path;
}

const config = (user: object, cluster: object = {}): string =>
  JSON.stringify({
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://192.0.2.1:6443/', ...cluster } }],
    users: [{ name: 'u', user }],
  });

const YAML = `
apiVersion: v1
kind: Config
current-context: default
contexts:
- name: default
  context: {cluster: default, user: default}
clusters:
- name: default
  cluster:
    server: https://127.0.0.1:6443
    certificate-authority: pki/ca.crt
users:
- name: default
  user:
    client-certificate-data: Y2VydA==
    client-key-data: a2V5
`;

test('kubeconfig: YAML, relative paths, data in place', async t => {
  const dir = folderFor(t);
  writeFileSync(join(dir, 'config'), YAML.replace('pki/ca.crt', 'ca.crt'));
  writeFileSync(join(dir, 'ca.crt'), 'CA');
  const access = await findAccess({ kubeconfig: join(dir, 'config') }, {});
  assert.equal(access.server, 'https://127.0.0.1:6443');
  const credentials = await readCredentials(access);
  assert.deepEqual([credentials.ca, credentials.cert, credentials.key].map(String), ['CA', 'cert', 'key']);
  assert.equal(credentials.authorization, undefined);
  assert.equal(credentials.insecure, false);
});

test('kubeconfig: token, token file, password, exec plugin', async t => {
  const dir = folderFor(t);
  const path = join(dir, 'config');
  const headerOf = async (user: object) => {
    writeFileSync(path, config(user));
    return (await readCredentials(await findAccess({ kubeconfig: path }, {}))).authorization;
  };
  writeFileSync(join(dir, 'token'), 'from-file\n');
  assert.equal(await headerOf({ token: 'abc' }), 'Bearer abc');
  assert.equal(await headerOf({ tokenFile: 'token' }), 'Bearer from-file');
  assert.equal(
    await headerOf({ username: 'me', password: 'x' }),
    `Basic ${Buffer.from('me:x').toString('base64')}`,
  );
  const answer = JSON.stringify({ kind: 'ExecCredential', status: { token: 'from-plugin' } });
  assert.equal(await headerOf({ exec: { command: 'echo', args: [answer] } }), 'Bearer from-plugin');
});

test('kubeconfig: what is wrong is said with the file’s name', async t => {
  const path = join(folderFor(t), 'config');
  const errorOf = async (text: string): Promise<string> => {
    writeFileSync(path, text);
    const error = await findAccess({ kubeconfig: path }, {}).then(
      () => undefined,
      (e: Error) => e,
    );
    assert.ok(error, text);
    assert.ok(error.message.startsWith(`cannot use the kubeconfig ${path}: `), error.message);
    return error.message;
  };
  assert.match(await errorOf(config({}).replace('"here"', '"there"')), /no context "there"/);
  assert.match(await errorOf(config({}).replace('"cluster":"c"', '"cluster":"d"')), /no cluster d/);
  assert.match(
    await errorOf(config({ 'auth-provider': { name: 'oidc' } })),
    /auth-provider oidc, which weft does not support/,
  );
  assert.match(await errorOf(config({}, { 'proxy-url': 'socks5://x' })), /proxy-url/);
  await errorOf('a: [b');
  await errorOf('');
  await errorOf('null');
  await assert.rejects(
    findAccess({ kubeconfig: '/nowhere/config' }, {}),
    /cannot use the kubeconfig \/nowhere\/config: ENOENT/,
  );
  await assert.rejects(findAccess({}, {}), /no way to the API server is known/);
});

test('which access: the option, then the pod, then KUBECONFIG; apiServer replaces any URL', async t => {
  const path = join(folderFor(t), 'config');
  writeFileSync(path, config({ token: 'x' }));
  const pod = { KUBERNETES_SERVICE_HOST: 'fd43::1', KUBERNETES_SERVICE_PORT: '443' };
  assert.equal((await findAccess({}, { ...pod, KUBECONFIG: path })).server, 'https://[fd43::1]:443');
  assert.equal((await findAccess({}, { KUBECONFIG: `${path}:/other` })).server, 'https://192.0.2.1:6443');
  assert.equal((await findAccess({ kubeconfig: path }, pod)).server, 'https://192.0.2.1:6443');
  const k3s = await findAccess({ apiServer: 'https://127.0.0.1:6444/' }, pod);
  assert.equal(k3s.server, 'https://127.0.0.1:6444');
  assert.equal(k3s.cluster.caFile, '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt');
});

test('a token file is read again after a 401', async t => {
  const server = await startServer();
  server.put('a');
  const dir = folderFor(t);
  const token = join(dir, 'token');
  writeFileSync(token, 'old');
  writeFileSync(join(dir, 'config'), config({ tokenFile: token }, { server: server.url }));
  const client = await openClient({ kubeconfig: join(dir, 'config') });
  t.after(async () => {
    client.close();
    await server.close();
  });
  const seen: string[] = [];
  let valid = 'Bearer old';
  server.script = ({ auth }) => {
    seen.push(auth);
    return auth === valid
      ? undefined
      : { status: 401, body: { reason: 'Unauthorized', message: 'Unauthorized' } };
  };
  await client.get('/api/v1/nodes/a');
  writeFileSync(token, 'new');
  await client.get('/api/v1/nodes/a');
  valid = 'Bearer new';
  await assert.rejects(client.get('/api/v1/nodes/a'), (e: ApiError) => e.status === 401);
  await client.get('/api/v1/nodes/a');
  assert.deepEqual(seen, ['Bearer old', 'Bearer old', 'Bearer old', 'Bearer new']);
});

async function setUp(t: TestContext, timeoutMs = 3_000) {
  const server = await startServer();
  server.put('a');
  const client = clientFor(server.url, timeoutMs);
  t.after(async () => {
    client.close();
    await server.close().catch(() => {});
  });
  return { server, client };
}

test('errors are typed: status, reason, message, Retry-After', async t => {
  const { server, client } = await setUp(t);
  const errorOf = async (
    status: number,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<ApiError> => {
    server.script = () => ({ status, body, headers });
    const error: unknown = await client.get('/api/v1/nodes').catch((e: unknown) => e);
    assert.ok(error instanceof ApiError);
    return error;
  };
  const gone = await errorOf(410, { reason: 'Expired', message: 'too old' });
  assert.ok(isExpired(gone));
  assert.equal(gone.message, 'GET /api/v1/nodes: 410 too old');
  assert.ok(isNotFound(await errorOf(404, {})));
  assert.ok(isForbidden(await errorOf(403, {})));
  assert.equal((await errorOf(429, {}, { 'Retry-After': '3' })).retryAfterMs, 3_000);
  const date = await errorOf(503, {}, { 'Retry-After': new Date(Date.now() + 60_000).toUTCString() });
  assert.ok((date.retryAfterMs ?? 0) > 50_000);
  assert.match((await errorOf(502, '<html>Bad Gateway</html>')).message, /502 <html>Bad Gateway/);
  assert.match((await errorOf(200, 'no json')).message, /JSON/);
});

test('no answer, no server, an aborted call: all reject', async t => {
  const { server, client } = await setUp(t, 50);
  server.script = () => 'hang';
  await assert.rejects(
    client.get('/x'),
    (e: ApiError) => e.reason === 'Timeout' && /no answer within 0\.05 s/.test(e.message),
  );
  const control = new AbortController();
  const call = clientFor(server.url).get('/x', { signal: control.signal });
  control.abort();
  await assert.rejects(call);
  await server.close();
  await assert.rejects(client.get('/x'), (e: ApiError) => e.reason === 'ECONNREFUSED');
});

test('a kept connection that the server has closed is no error', async t => {
  const { server, client } = await setUp(t);
  for (let n = 0; n < 5; n += 1) {
    await client.get('/api/v1/nodes/a');
    server.cut();
  }
  assert.equal(server.requests.length, 5);
});

test('a stream whose reader has gone does not end the process when it breaks', async t => {
  const { server, client } = await setUp(t);
  const control = new AbortController();
  await client.stream('/api/v1/nodes', {
    query: { watch: 'true', resourceVersion: '1' },
    signal: control.signal,
    headersMs: 1_000,
  });
  await until(() => server.watchers() === 1, 'the stream');
  server.cut();
  await pause(20);
  control.abort();
  await pause(20);
});

test('a patch is a merge patch with its length', async t => {
  const { server, client } = await setUp(t);
  await client.patch('/api/v1/nodes/a', { metadata: { annotations: { ü: 'ß' } } });
  assert.equal(server.nodes.get('a')?.metadata.annotations.ü, 'ß');
});
