/** A cluster of three nodes, and weft on it with the image and the manifest as a user would take them. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Cluster, type ClusterOptions, startCluster } from '../cluster.ts';
import { clusterUnavailable } from '../packages.ts';
import { kubectl } from '../pods.ts';
import { untilMeshed, untilRolledOut, weftImage } from './agent.ts';
import { makeWorld, type World } from './world.ts';

const MANIFEST = join(import.meta.dirname, '../../../manifests/weft-userspace.yaml');

/** Tests; the function gives the world once they run. */
export type Suite = (world: () => World) => void;

const install = async (cluster: Cluster): Promise<void> => {
  const path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].message}{"\\n"}{end}';
  const reasons = (await kubectl(cluster, ['get', 'nodes', '-o', `jsonpath=${path}`])).split('\n');
  assert.equal(reasons.length, 3);
  for (const reason of reasons) assert.match(reason, /cni plugin not initialized/);
  await kubectl(cluster, ['apply', '-f', MANIFEST]);
  await cluster.nodesReady(60_000);
  await untilRolledOut(cluster);
  await untilMeshed(cluster);
};

/** Runs suites one after the other on one cluster; skips with the reason where the machine can run none. */
export const onWeft = (title: string, options: ClusterOptions, suites: readonly Suite[]): void => {
  describe(title, { skip: clusterUnavailable() ?? false }, () => {
    let cluster: Cluster;

    before(async () => {
      const image = await weftImage();
      cluster = await startCluster({ ...options, images: [image] });
    });

    after(async () => cluster?.stop());

    it('makes NotReady nodes Ready with one kubectl apply', () => install(cluster));

    describe('with nine pods', () => {
      let world: World;

      before(async () => {
        // Where the install failed, that has been said, and nothing here could pass.
        await cluster.nodesReady(1000);
        world = await makeWorld(cluster);
      });

      for (const suite of suites) suite(() => world);
    });
  });
};
