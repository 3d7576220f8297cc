/**
 * A small Kubernetes API server: real HTTP, the resources that weft uses, and troubles to order.
 * test/contract/apiserver.ts holds it to the real one. What it leaves out: protobuf, YAML and
 * tables, JSON patch and server-side apply (so no managedFields), roles and admission policies,
 * OpenAPI. There are no controllers behind it: a namespace that is deleted goes at once, with
 * what is in it.
 */
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Faults } from './faults.ts';
import { NAMESPACES } from './resources.ts';
import { handle } from './routes.ts';
import { newStore, type Store } from './store.ts';

export type ApiServerOptions = {
  /** 127.0.0.1 unless given. */
  readonly host?: string;
  /** Any free one unless given. */
  readonly port?: number;
  /** PEM texts; plain HTTP unless given. `ca` goes into the kubeconfig. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
  /** Bearer token that every request must show. */
  readonly token?: string;
  /** Changes that are remembered for watches. */
  readonly history?: number;
  /** Between bookmarks: a minute unless given, as the real server's. */
  readonly bookmarkMs?: number;
  /** One line for each request, at its end. */
  readonly log?: (line: string) => void;
};

export type ApiServer = {
  readonly url: string;
  readonly ca: string | undefined;
  readonly store: Store;
  /** Text of a kubeconfig for this server; JSON, which is YAML too. */
  readonly kubeconfig: (url?: string) => string;
  /** Replaces the troubles ordered before; {} for none. */
  readonly order: (faults: Faults) => void;
  /** Ends every watch under way, as a proxy's timeout would. */
  readonly dropWatches: () => void;
  readonly stop: () => Promise<void>;
  /** Listens again on the same port, with the same objects. */
  readonly start: () => Promise<void>;
  /** Stops and starts; `forget`: versions from before are 410 then. */
  readonly restart: (options?: { readonly forget?: boolean }) => Promise<void>;
};

function kubeconfigOf(url: string, { token, tls }: ApiServerOptions): string {
  const authority = tls && { 'certificate-authority-data': Buffer.from(tls.ca).toString('base64') };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'weft', cluster: { server: url, ...authority } }],
    users: [{ name: 'agent', user: token === undefined ? {} : { token } }],
    contexts: [{ name: 'weft', context: { cluster: 'weft', user: 'agent' } }],
    'current-context': 'weft',
  });
}

const listen = (server: Server, port: number, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });

const close = (server: Server | undefined): Promise<void> =>
  new Promise(resolve => {
    if (server === undefined) return resolve();
    server.close(() => resolve());
    server.closeAllConnections();
  });

/** What every cluster has from its first moment. */
function furnish(store: Store): void {
  for (const name of ['default', 'kube-node-lease', 'kube-public', 'kube-system'])
    store.create(NAMESPACES, undefined, { metadata: { name } });
}

/** Listening when it resolves. */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const { host = '127.0.0.1', token, tls, history, bookmarkMs = 60_000, log = () => {} } = options;
  const store = newStore(history);
  furnish(store);
  const watches = new Set<() => void>();
  let faults: Faults = {};
  let server: Server | undefined;
  let port = options.port ?? 0;

  const start = async (): Promise<void> => {
    const context = { store, token, bookmarkMs, log, faults: () => faults, watches };
    const listener: Parameters<typeof createHttpServer>[1] = (request, response) =>
      void handle(context, request, response);
    const made = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener);
    // Watches are quiet for long; they are ended by their own clock.
    made.requestTimeout = 0;
    made.keepAliveTimeout = 60_000;
    port = await listen(made, port, host);
    server = made;
  };

  const dropWatches = (): void => {
    const ending = Array.from(watches);
    watches.clear();
    for (const stop of ending) stop();
  };

  const stop = async (): Promise<void> => {
    dropWatches();
    const old = server;
    server = undefined;
    await close(old);
  };

  await start();
  const authority = host.includes(':') ? `[${host}]` : host;
  const url = `${tls === undefined ? 'http' : 'https'}://${authority}:${port}`;
  return {
    url,
    ca: tls?.ca,
    store,
    kubeconfig: (at = url) => kubeconfigOf(at, options),
    order: next => {
      faults = next;
    },
    dropWatches,
    stop,
    start,
    restart: async ({ forget = false } = {}) => {
      await stop();
      if (forget) store.forget();
      await start();
    },
  };
}
