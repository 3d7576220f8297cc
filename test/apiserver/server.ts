/** A small Kubernetes API server: real HTTP, the resources that weft uses, and troubles to order. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Faults } from './faults.ts';
import { handle } from './handler.ts';
import { newStore, type Store } from './store.ts';

export type ApiServerOptions = {
  /** 127.0.0.1 unless given. */
  readonly host?: string;
  /** Any free one unless given. */
  readonly port?: number;
  readonly token?: string;
  /** Changes that are remembered for watches. */
  readonly history?: number;
};

export type ApiServer = {
  readonly url: string;
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
};

const kubeconfigOf = (url: string, token: string | undefined): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'weft', cluster: { server: url } }],
    users: [{ name: 'agent', user: token === undefined ? {} : { token } }],
    contexts: [{ name: 'weft', context: { cluster: 'weft', user: 'agent' } }],
    'current-context': 'weft',
  });

/** Listening when it resolves. */
export async function startApiServer({
  host = '127.0.0.1',
  port = 0,
  token,
  history,
}: ApiServerOptions = {}): Promise<ApiServer> {
  const store = newStore(history);
  const watches = new Set<() => void>();
  let faults: Faults = {};
  let server: Server | undefined;
  let bound = port;

  const start = async (): Promise<void> => {
    const options = { store, token, faults: () => faults, watches };
    const made = createServer((request, response) => void handle(options, request, response));
    // Watches are quiet for long; they are ended by their own clock.
    made.requestTimeout = 0;
    made.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve, reject) => {
      made.once('error', reject);
      made.listen(bound, host, resolve);
    });
    bound = (made.address() as AddressInfo).port;
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
    await new Promise<void>(resolve => {
      if (old === undefined) return resolve();
      old.close(() => resolve());
      old.closeAllConnections();
    });
  };

  await start();
  const url = `http://${host}:${bound}`;
  return {
    url,
    store,
    kubeconfig: (at = url) => kubeconfigOf(at, token),
    order: next => {
      faults = next;
    },
    dropWatches,
    stop,
    start,
  };
}
