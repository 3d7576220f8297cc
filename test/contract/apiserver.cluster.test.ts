/** The contract suite against etcd and kube-apiserver themselves. */
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startControlPlane } from '../cluster/api.ts';
import { clusterUnavailable } from '../cluster/packages.ts';
import { apiServerContract } from './apiserver.ts';

const reason = clusterUnavailable(['kubernetes']);

if (reason !== undefined) describe('kube-apiserver', () => void test('contract', { skip: reason }));
else
  apiServerContract('kube-apiserver', async () => {
    const plane = await startControlPlane();
    return {
      url: plane.url,
      ca: plane.ca,
      token: plane.token,
      // etcd forgets, and a new server has no memory of its own.
      forget: async () => {
        await plane.compact();
        await plane.killServer();
        // Its port may be another connection's own end for a moment.
        await plane.startServer().catch(() => sleep(2_000).then(plane.startServer));
      },
      admitPods: namespace => plane.kubectl(['-n', namespace, 'create', 'serviceaccount', 'default']),
      stop: plane.stop,
    };
  });
