/** A large cluster that is mostly not there: Nodes that never answer, pods elsewhere, and policies. */
import { RESOURCES, type Resource } from '../apiserver/resources.ts';
import { type Lab, NODES } from '../lab/lab.ts';

const resource = (plural: string): Resource => RESOURCES.find(one => one.plural === plural) as Resource;

export const endpoints = (n: number, port: number): string =>
  JSON.stringify([{ t: 'ext', a: `198.51.${100 + (n >> 8)}.${n & 255}:${port}` }]);

/** A peer that never answers. Four share a /24, so that a thousand fit into the lab's /16. */
export const peer = (n: number) => {
  const cidrs = [`10.42.${4 + (n >> 2)}.${(n & 3) * 64}/26`, `fd42:0:0:${(0x1000 + n).toString(16)}::/64`];
  return {
    metadata: {
      name: `peer${n}`,
      annotations: {
        'weft.network/public-key': Buffer.alloc(32, `peer ${n} `).toString('base64'),
        'weft.network/endpoints': endpoints(n, 51820),
      },
    },
    spec: { podCIDR: cidrs[0], podCIDRs: cidrs },
    status: { addresses: [{ type: 'Hostname', address: `peer${n}` }] },
  };
};

/** Every 20 ms another node moves; returns the way to stop, and how many have moved. */
export function move(lab: Lab, nodes: number): { readonly stop: () => void; readonly moved: () => number } {
  let moved = 0;
  const timer = setInterval(() => {
    const annotations = { 'weft.network/endpoints': endpoints(moved % nodes, 40_000 + moved) };
    lab.api.store.patch(NODES, undefined, `peer${moved % nodes}`, { metadata: { annotations } }, 'main');
    moved += 1;
  }, 20);
  return { stop: () => clearInterval(timer), moved: () => moved };
}

const NAMESPACES = 50;

/** As many fields as a pod of a Deployment has, or a few less. */
const pod = (n: number) => ({
  metadata: {
    name: `pod${n}`,
    namespace: `ns${n % NAMESPACES}`,
    labels: { app: `app${n % 10}`, tier: `t${n % 3}`, 'pod-template-hash': '5d4f8c7b9' },
    annotations: { 'example.org/checksum': Buffer.alloc(32, `${n}`).toString('hex') },
  },
  spec: {
    nodeName: `peer${n % 100}`,
    containers: [
      {
        name: 'main',
        image: 'example.org/app:1',
        ports: [{ name: 'http', containerPort: 8080 }],
        env: Array.from({ length: 10 }, (_, k) => ({ name: `VARIABLE_${k}`, value: `value ${k}` })),
        resources: { requests: { cpu: '100m', memory: '64Mi' } },
      },
    ],
  },
  status: {
    phase: 'Running',
    podIP: `10.42.${4 + (n >> 8)}.${n & 255}`,
    podIPs: [{ ip: `10.42.${4 + (n >> 8)}.${n & 255}` }, { ip: `fd42:0:0:1000::${(n + 1).toString(16)}` }],
  },
});

const policy = (n: number) => ({
  metadata: { name: `policy${n}`, namespace: `ns${n % NAMESPACES}` },
  spec: {
    podSelector: { matchLabels: { app: `app${Math.floor(n / NAMESPACES) % 10}` } },
    policyTypes: ['Ingress'],
    ingress: [
      {
        from: [{ podSelector: { matchLabels: { tier: `t${n % 3}` } } }],
        ports: [{ port: 80 + (n % 5) }, { port: 'http' }],
      },
    ],
  },
});

export function addPeers(lab: Lab, from: number, to: number): void {
  for (let n = from; n < to; n += 1) lab.api.store.create(NODES, undefined, peer(n));
}

export function addPolicies(lab: Lab, pods: number, policies: number): void {
  const { store } = lab.api;
  for (let n = 0; n < NAMESPACES; n += 1)
    store.create(resource('namespaces'), undefined, { metadata: { name: `ns${n}` } });
  for (let n = 0; n < pods; n += 1) store.create(resource('pods'), `ns${n % NAMESPACES}`, pod(n));
  for (let n = 0; n < policies; n += 1)
    store.create(resource('networkpolicies'), `ns${n % NAMESPACES}`, policy(n));
}
