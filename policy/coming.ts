/**
 * Own pods that the API shows and no runtime has made yet. Their classes are put into the kernel before they come:
 * a new chain takes a run of `nft`, for which the pod's ADD would wait. Pure; unchanged pods are the same objects.
 */
import type { Ip } from '../types.ts';
import type { Cluster, Pod } from './types.ts';

/** By one with addresses that stand for those it will have, of the same families. */
type Awaited = ReadonlyMap<Pod, Pod>;

const NOBODY: Awaited = new Map();

export function newComing(): (cluster: Cluster) => Awaited {
  let last: readonly Pod[] | undefined;
  let gateways: readonly Ip[] = [];
  let standIns = new WeakMap<Pod, Pod>();
  let coming = NOBODY;

  const standIn = (pod: Pod): Pod => {
    const known = standIns.get(pod) ?? { ...pod, ips: gateways };
    standIns.set(pod, known);
    return known;
  };

  return ({ pods, nodes, self }) => {
    const now = nodes.find(node => node.name === self)?.gateways ?? [];
    if (pods === last && now.join() === gateways.join()) return coming;
    if (now.join() !== gateways.join()) standIns = new WeakMap();
    gateways = now;
    last = pods;
    const awaited = pods.filter(
      pod => pod.node === self && pod.ips.length === 0 && !pod.hostNetwork && !pod.done,
    );
    coming = gateways.length === 0 ? NOBODY : new Map(awaited.map(pod => [standIn(pod), pod]));
    return coming;
  };
}
