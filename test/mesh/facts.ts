/** Nodes for tests: whole facts from the few that matter. */
import type { NodeFact } from '../../discovery/types.ts';
import type { MeshFacts, MeshSettings } from '../../mesh/types.ts';
import type { Cidr, Endpoint, PublicKey } from '../../types.ts';

export const key = (n: number): PublicKey => Buffer.alloc(32, n).toString('base64') as PublicKey;

export const node = (n: number, facts: Partial<NodeFact> = {}): NodeFact => ({
  name: `node${n}`,
  uid: `uid-${n}`,
  createdAt: `2026-01-01T00:00:${String(n % 60).padStart(2, '0')}Z`,
  podCidrs: [`10.42.${n}.0/24` as Cidr, `fd42:0:0:${n.toString(16)}::/64` as Cidr],
  publicKey: key(n),
  endpoints: [{ t: 'host', a: `192.0.2.${n}:51820` as Endpoint }],
  forceEndpoint: undefined,
  location: undefined,
  keepalive: undefined,
  relay: true,
  errors: [],
  ...facts,
});

export const settings = (given: Partial<MeshSettings> = {}): MeshSettings => ({
  clusterCidrs: ['10.42.0.0/16' as Cidr, 'fd42::/48' as Cidr],
  listenPort: 51820,
  keepalive: 25,
  mtu: 1420,
  masquerade: true,
  unmasked: [],
  directLinks: [],
  ...given,
});

export const facts = (nodes: readonly NodeFact[], given: Partial<MeshFacts> = {}): MeshFacts => ({
  self: { name: 'node1', publicKey: key(1) },
  nodes,
  resolved: new Map(),
  settings: settings(),
  ...given,
});
