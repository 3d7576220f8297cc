/** What an agent answers at the paths of `weft get`. */
import { boolean, either, list, map, may, number, object, oneOf, ref, said, string } from '../shape.ts';
import { check, exclusion, peer, warning } from './parts.ts';

const part = object({ part: string, ready: boolean, reason: may(string) });

const watch = {
  synced: said(boolean, 'a full list has been seen since the start'),
  connected: boolean,
  error: may(string),
  restarts: number,
} as const;

export const poolFields = {
  cidr: string,
  family: number,
  size: said(string, 'a whole number, which may be larger than JSON’s numbers are exact'),
  used: number,
  cooling: said(number, 'freed a moment ago'),
  free: said(string, 'as size'),
} as const;

const cni = object({
  pools: list(object(poolFields)),
  verbs: said(map(object({ calls: number, errors: number, lastMs: number })), 'calls, by verb'),
  strangers: said(
    list(object({ pod: string, link: string, mac: string, own: string })),
    'pods that send with a MAC that is not theirs',
  ),
  otherConfigs: object({ earlier: list(string), later: list(string) }),
  leftovers: said(list(string), 'what other plugins left in the way'),
});

const bucket = object({ rate: number, burst: number });

const pod = object({
  network: string,
  containerId: string,
  ifname: string,
  link: said(string, 'host end of its veth'),
  hostMac: string,
  podMac: string,
  ips: list(string),
  mtu: number,
  pod: may(object({ namespace: string, name: string, uid: string })),
  ports: may(
    list(
      object({
        hostPort: number,
        containerPort: number,
        protocol: oneOf('tcp', 'udp', 'sctp'),
        hostIp: may(string),
      }),
    ),
  ),
  limits: may(object({ ingress: may(bucket), egress: may(bucket) })),
});

const policy = either(
  object({
    enabled: boolean,
    known: said(boolean, 'policies are known, from the API server or from disk'),
    policies: number,
    classes: number,
    isolated: said(number, 'pods of this node that policies isolate'),
    pending: said(list(string), 'addresses of pods that are closed until they are known'),
    runs: number,
    lastMs: number,
    last: may(string),
    dirty: boolean,
    error: may(said(string, 'why the rules are not in the kernel')),
    cut: said(number, 'connections ended since a later policy denies them'),
    watches: map(object({ ...watch, count: number, version: may(string) })),
  }),
  object({ enabled: boolean }),
);

export const rotation = object({
  state: oneOf('idle', 'waiting', 'publishing', 'in doubt', 'confirming'),
  reason: may(string),
  rotated: may(said(string, 'token of the last rotation that was done')),
});

export const report = object({
  version: string,
  node: string,
  location: may(string),
  ready: boolean,
  parts: said(list(part), 'parts of /readyz'),
  engine: object({ kind: oneOf('kernel', 'wireguard-go', 'none'), reason: may(string) }),
  publicKey: may(string),
  rotation,
  listenPort: may(number),
  mtu: may(number),
  podCidrs: list(string),
  gateways: list(string),
  clusterCidrs: list(string),
  endpoints: said(
    list(object({ t: oneOf('host', 'ext', 'srflx', 'portmap'), a: string })),
    'what this node publishes',
  ),
  peers: list(peer),
  probes: object({ roundMs: said(number, 'within which every silent peer is asked once') }),
  excluded: said(list(exclusion), 'Nodes that are no peers'),
  warnings: list(warning),
  host: object({
    findings: list(
      object({ id: string, severity: oneOf('error', 'warning', 'info'), what: string, cure: may(string) }),
    ),
    looks: number,
  }),
  api: said(object(watch), 'the watch of Nodes'),
  cni,
  pods: said(list(pod), 'pod interfaces that are wired here'),
  policy,
  mended: said(map(number), 'what foreign hands undid and the agent put back, by kind'),
  reconcile: object({
    runs: number,
    lastChanges: number,
    spawns: said(number, 'programs started'),
    changes: said(number, 'changing calls to the kernel'),
  }),
});

export const reportRef = ref<Record<string, unknown>>('agent-status.json', 'AgentStatus');

export const diagnosis = object({
  node: string,
  now: said(number, 'milliseconds since the epoch by the node’s clock'),
  checks: list(object(check)),
});

export const pings = list(
  object({
    to: string,
    address: string,
    bytes: said(number, 'of the IP packet inside the tunnel, both ways'),
    sent: number,
    rttMs: said(list(number), 'of those that were answered'),
  }),
);

export const judgement = object({
  allowed: may(said(boolean, 'absent: not known, or not weft’s to say')),
  words: list(string),
});
