/** The client over TLS: who is believed, with what certificate we show ourselves, and renewal of both. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { type Client, openClient } from '../../discovery/client.ts';
import { temporaryFolder } from './helpers.ts';

const OPENSSL = 'openssl';

const openssl = (folder: string, ...args: readonly string[]): void => {
  const { status, stderr } = spawnSync(OPENSSL, args, { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
};

const skip = spawnSync(OPENSSL, ['version']).error ? 'the program openssl is not installed' : false;

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

function authority(folder: string, name: string): void {
  openssl(
    folder,
    'req',
    '-x509',
    ...KEY,
    '-subj',
    `/CN=${name}`,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.crt`,
  );
}

function certificate(folder: string, ca: string, name: string, alternative: string): void {
  const signed = ['-CA', `${ca}.crt`, '-CAkey', `${ca}.key`, '-addext', `subjectAltName=${alternative}`];
  const files = ['-keyout', `${name}.key`, '-out', `${name}.crt`];
  openssl(folder, 'req', '-x509', ...KEY, '-subj', `/CN=${name}`, ...signed, ...files);
}

type SetUp = {
  /** Common names that get a 401. */
  readonly banned: Set<string>;
  readonly url: string;
  readonly read: (file: string) => Buffer;
  readonly path: (file: string) => string;
};

/** A server of `ca` for the name api.test, which asks for certificates of `ca` and answers with the CN it saw. */
async function setUp(t: TestContext): Promise<SetUp> {
  const folder = temporaryFolder();
  const path = (file: string) => join(folder.path, file);
  const read = (file: string) => readFileSync(path(file));
  authority(folder.path, 'ca');
  authority(folder.path, 'other');
  certificate(folder.path, 'ca', 'server', 'DNS:api.test');
  certificate(folder.path, 'ca', 'agent', 'DNS:agent');
  certificate(folder.path, 'ca', 'renewed', 'DNS:agent');
  const options = {
    key: read('server.key'),
    cert: read('server.crt'),
    ca: read('ca.crt'),
    requestCert: true,
    rejectUnauthorized: false,
  };
  const banned = new Set<string>();
  const server: Server = createServer(options, (request, response) => {
    const socket = request.socket as TLSSocket;
    const subject = socket.authorized ? socket.getPeerCertificate().subject.CN : null;
    if (banned.has(String(subject))) response.statusCode = 401;
    response.end(JSON.stringify({ subject, authorization: request.headers.authorization ?? null }));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
    folder.remove();
  });
  return { banned, url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, read, path };
}

/** A client of a kubeconfig with these entries. */
async function clientOf(
  t: TestContext,
  { url, path }: SetUp,
  cluster: object,
  user: object = {},
): Promise<Client> {
  writeFileSync(
    path('kubeconfig'),
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: url, ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  const client = await openClient({ kubeconfig: path('kubeconfig'), timeoutMs: 5_000 });
  t.after(client.close);
  return client;
}

const ask = async (...args: Parameters<typeof clientOf>): Promise<unknown> =>
  (await clientOf(...args)).get('/');

const NAME = { 'tls-server-name': 'api.test' };

test('a server of the given authority is believed, by the name that the kubeconfig says', {
  skip,
}, async t => {
  const bed = await setUp(t);
  const cluster = { 'certificate-authority': 'ca.crt', ...NAME };
  assert.deepEqual(await ask(t, bed, cluster), { subject: null, authorization: null });
  const data = { 'certificate-authority-data': bed.read('ca.crt').toString('base64'), ...NAME };
  assert.deepEqual(await ask(t, bed, data), { subject: null, authorization: null });
});

test('another authority, another name, no authority: refused with a reason', { skip }, async t => {
  const bed = await setUp(t);
  const refused = (reason: RegExp) => (error: unknown) =>
    error instanceof Error && reason.test(error.message);
  await assert.rejects(
    ask(t, bed, { 'certificate-authority': 'other.crt', ...NAME }),
    refused(/certificate/i),
  );
  await assert.rejects(ask(t, bed, { 'certificate-authority': 'ca.crt' }), refused(/IP: 127\.0\.0\.1/));
  await assert.rejects(ask(t, bed, NAME), refused(/certificate/i));
});

test('insecure-skip-tls-verify believes anybody, and only where it is asked for', { skip }, async t => {
  const bed = await setUp(t);
  assert.deepEqual(await ask(t, bed, { 'insecure-skip-tls-verify': true }), {
    subject: null,
    authorization: null,
  });
});

test('a client certificate is shown, from files or data, and with it a token', { skip }, async t => {
  const bed = await setUp(t);
  const cluster = { 'certificate-authority': 'ca.crt', ...NAME };
  const files = { 'client-certificate': 'agent.crt', 'client-key': 'agent.key', token: 'secret' };
  assert.deepEqual(await ask(t, bed, cluster, files), { subject: 'agent', authorization: 'Bearer secret' });
  const data = {
    'client-certificate-data': bed.read('agent.crt').toString('base64'),
    'client-key-data': bed.read('agent.key').toString('base64'),
  };
  assert.deepEqual(await ask(t, bed, cluster, data), { subject: 'agent', authorization: null });
});

test('a certificate that is renewed on disk is used after a 401, by the same client', { skip }, async t => {
  const bed = await setUp(t);
  const user = { 'client-certificate': 'agent.crt', 'client-key': 'agent.key' };
  const client = await clientOf(t, bed, { 'certificate-authority': 'ca.crt', ...NAME }, user);
  assert.deepEqual(await client.get('/'), { subject: 'agent', authorization: null });
  copyFileSync(bed.path('renewed.crt'), bed.path('agent.crt'));
  copyFileSync(bed.path('renewed.key'), bed.path('agent.key'));
  bed.banned.add('agent');
  await assert.rejects(client.get('/'), { status: 401 });
  assert.deepEqual(await client.get('/'), { subject: 'renewed', authorization: null });
});
