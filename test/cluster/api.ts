import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ensureBuilt, linkBinaries } from './build.ts';
import { ADMIN_TOKEN, apiCertificates, apiServerArgv, etcdArgv, untilReady } from './control-plane.ts';
import { type Daemon, end, start } from './daemons.ts';
import { type Layout, layout } from './layout.ts';
import { clusterUnavailable } from './packages.ts';
import { makePki, writeKubeconfig } from './pki.ts';
import { type Output, type RunOptions, run } from './process.ts';
import { tearDown } from './teardown.ts';

/** etcd and a kube-apiserver on loopback, without controllers or nodes. */
export type ControlPlane = {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  /** PEM texts: the authority, and a client certificate of system:masters. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** Bearer token of a member of system:masters. */
  readonly token: string;
  /** Path of a kubeconfig with all that. */
  readonly kubeconfig: string;
  readonly kubectl: (args: readonly string[], options?: RunOptions) => Promise<Output>;
  /** Kills the API server as kill -9 does; etcd keeps the objects. */
  readonly killServer: () => Promise<void>;
  /** Starts it again on the same port and waits until it is ready. Its watch cache starts anew: old versions are 410. */
  readonly startServer: () => Promise<void>;
  /** Compacts etcd up to now: continue tokens and versions from before are 410. */
  readonly compact: () => Promise<void>;
  readonly stop: () => Promise<void>;
};

type Ports = { readonly api: number; readonly etcd: number; readonly peer: number };

/** A port of loopback that nobody listens on at this moment. */
const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });

const freePorts = async (): Promise<Ports> => {
  const [api, etcd, peer] = await Promise.all([freePort(), freePort(), freePort()]);
  return { api, etcd, peer };
};

/** Ends with us, even when we are killed: these run on the machine itself, in no namespace that `down` could empty. */
const withUs = (argv: readonly string[]): readonly string[] => ['setpriv', '--pdeathsig', 'KILL', ...argv];

const startEtcd = (at: Layout, ports: Ports): Daemon =>
  start(at, 'etcd', withUs(etcdArgv(join(at.data, 'etcd'), ports.etcd, ports.peer)));

const kubectlArgv = (at: Layout, args: readonly string[]): readonly string[] => [
  join(at.bin, 'kubectl'),
  `--kubeconfig=${at.pki}/admin.conf`,
  ...args,
];

const startServer = async (at: Layout, ports: Ports): Promise<Daemon> => {
  const spec = { pki: at.pki, etcdPort: ports.etcd, bind: '127.0.0.1', port: ports.api };
  // A loopback address may not be advertised; this one is for documentation and nobody goes there.
  const argv = apiServerArgv({ ...spec, advertise: '192.0.2.1' });
  const server = start(at, 'kube-apiserver', withUs(argv));
  await untilReady(at, server, kubectlArgv(at, []));
  return server;
};

const etcdCall = async (port: number, path: string, body: unknown): Promise<Record<string, unknown>> => {
  const response = await fetch(`http://127.0.0.1:${port}/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${answer}`);
  return JSON.parse(answer) as Record<string, unknown>;
};

const compact = async (port: number): Promise<void> => {
  const { header } = await etcdCall(port, 'kv/range', { key: Buffer.from('/').toString('base64') });
  const { revision } = header as { readonly revision: string };
  await etcdCall(port, 'kv/compaction', { revision, physical: true });
};

const writePapers = async (at: Layout, server: string): Promise<void> => {
  await makePki(at.pki, apiCertificates([]));
  writeKubeconfig({ server, folder: at.pki, user: 'admin' });
  writeFileSync(join(at.pki, 'tokens.csv'), `${ADMIN_TOKEN},admin,admin,system:masters\n`, { mode: 0o600 });
};

const handle = (at: Layout, ports: Ports, first: Daemon): ControlPlane => {
  let server = first;
  const pem = (file: string) => readFileSync(join(at.pki, file), 'utf8');
  return {
    url: `https://127.0.0.1:${ports.api}`,
    ca: pem('ca.crt'),
    cert: pem('admin.crt'),
    key: pem('admin.key'),
    token: ADMIN_TOKEN,
    kubeconfig: join(at.pki, 'admin.conf'),
    kubectl: (args, options) => run(kubectlArgv(at, args), options),
    killServer: () => end([server]),
    startServer: async () => {
      server = await startServer(at, ports);
    },
    compact: () => compact(ports.etcd),
    stop: () => tearDown(at),
  };
};

let count = 0;

/**
 * Builds Kubernetes unless it is cached and starts etcd and kube-apiserver on free ports of 127.0.0.1, in 5 to
 * 10 s. They end with this process, whatever ends it; `stop` also removes their folders.
 *
 * @throws Error when the machine cannot (no Go and nothing cached), or with the server's last lines.
 */
export const startControlPlane = async (): Promise<ControlPlane> => {
  const reason = clusterUnavailable(['kubernetes']);
  if (reason !== undefined) throw new Error(reason);
  const at = layout(`weft-api-${process.pid}-${++count}`);
  const ports = await freePorts();
  const folders = await ensureBuilt(['kubernetes']);
  for (const folder of [at.run, at.data]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    linkBinaries(folders, at.bin);
    await writePapers(at, `https://127.0.0.1:${ports.api}`);
    startEtcd(at, ports);
    return handle(at, ports, await startServer(at, ports));
  } catch (error) {
    await tearDown(at);
    throw error;
  }
};
