/** weft on a real Kubernetes: three nodes, nine pods, the image and the manifest as a user would take them. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Cluster, startCluster } from './cluster.ts';
import { clusterUnavailable } from './packages.ts';
import { kubectl } from './pods.ts';
import { untilMeshed, untilRolledOut, weftImage } from './weft/agent.ts';
import { reach } from './weft/reach.ts';
import { rights } from './weft/rights.ts';
import { trouble } from './weft/trouble.ts';
import { wiring } from './weft/wiring.ts';
import { makeWorld, type World } from './weft/world.ts';

const MANIFEST = join(import.meta.dirname, '../../manifests/weft-userspace.yaml');

describe('weft on a real Kubernetes', { skip: clusterUnavailable() ?? false }, () => {
  let cluster: Cluster;

  before(async () => {
    const image = await weftImage();
    cluster = await startCluster({ name: 'weft-cluster-weft', images: [image] });
  });

  after(async () => cluster?.stop());

  it('makes NotReady nodes Ready with one kubectl apply', async () => {
    const path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].message}{"\\n"}{end}';
    const reasons = (await kubectl(cluster, ['get', 'nodes', '-o', `jsonpath=${path}`])).split('\n');
    assert.equal(reasons.length, 3);
    for (const reason of reasons) assert.match(reason, /cni plugin not initialized/);
    await kubectl(cluster, ['apply', '-f', MANIFEST]);
    await cluster.nodesReady(60_000);
    await untilRolledOut(cluster);
    await untilMeshed(cluster);
  });

  describe('with nine pods', () => {
    let made: World;
    const world = (): World => made;

    before(async () => {
      made = await makeWorld(cluster);
    });

    reach(world);
    wiring(world);
    rights(world);
    trouble(world);
  });
});
