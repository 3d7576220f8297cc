/** Facts of a node → what a doctor says of it. Pure. */
import { fillOf, isFull, POOL_CURE, poolText } from '../cni/pools.ts';
import { duration } from '../mesh/reasons.ts';
import type { PeerStatus } from '../mesh/status.ts';
import { features } from './features.ts';
import { ok, worstFirst } from './grades.ts';
import { hands } from './hands.ts';
import type { Check, NodeFacts } from './types.ts';

function parts({ status }: NodeFacts): readonly Check[] {
  return status.parts
    .filter(part => !part.ready)
    .map(({ part, reason }) => ({
      id: `part ${part}`,
      grade: 'error' as const,
      what: `${part} is not ready: ${reason ?? 'no reason is known'}`,
      cure: undefined,
    }));
}

function mesh({ status }: NodeFacts): readonly Check[] {
  const excluded = status.excluded.map(
    (e): Check => ({
      id: `excluded ${e.node}`,
      grade: e.node === status.node ? 'error' : 'warning',
      what: `${e.node === status.node ? 'this node' : e.node} is not in the mesh: it ${e.reason}`,
      cure: undefined,
    }),
  );
  const warnings = status.warnings.map(
    ({ node, message }): Check => ({
      id: `warning ${node}`,
      grade: 'warning',
      what: `${node}: ${message}`,
      cure: undefined,
    }),
  );
  return [...excluded, ...warnings];
}

const isPrivate = (endpoint: string): boolean =>
  /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|\[f[cd])/.test(
    endpoint,
  );

const broken = (peers: readonly PeerStatus[]) => peers.filter(p => p.state !== 'established');

/** Nobody at all is reached: that is this node's own matter. */
function alone({ status }: NodeFacts): Check {
  const own = status.endpoints.map(e => e.a);
  const hidden = own.length > 0 && own.every(isPrivate);
  const where = own.length === 0 ? 'no endpoint at all' : `only ${own.join(', ')}`;
  return {
    id: 'udp reachability',
    grade: 'error',
    what: `not one of ${status.peers.length} peers is reached, so it is this node or its uplink; it publishes ${where}${hidden ? ', private addresses that other sites cannot reach' : ''}`,
    cure: `open UDP ${status.listenPort ?? 51820} inbound and outbound for this node (host firewall, cloud security group, router)${hidden || own.length === 0 ? `; where it has a public address that it does not know of, kubectl annotate node ${status.node} weft.network/force-endpoint=ADDRESS:PORT` : ''}`,
  };
}

/** Where weft waits for the end of another pod network, that it has put nothing into the kernel is no fault of the kernel. */
const waits = ({ status }: NodeFacts): boolean =>
  status.excluded.some(e => e.node === status.node && e.kind === 'occupied');

function reachability(facts: NodeFacts): readonly Check[] {
  const { peers } = facts.status;
  const bad = broken(peers);
  if (facts.status.engine.kind === 'none')
    return [
      {
        id: 'udp reachability',
        grade: 'info',
        what: `nobody of ${peers.length} peers can be reached while this node has no WireGuard`,
        cure: undefined,
      },
    ];
  if (peers.length === 0)
    return [{ id: 'udp reachability', grade: 'info', what: 'this node has no peers', cure: undefined }];
  if (bad.length === 0)
    return [ok('udp reachability', `all ${peers.length} peers answer inside their tunnels`)];
  if (bad.length === peers.length && peers.length > 1) return [alone(facts)];
  return bad.map(p => ({
    id: `peer ${p.node}`,
    grade: 'error' as const,
    what: `${p.node} is ${p.state}${p.stateAgeMs === undefined ? '' : ` for ${duration(p.stateAgeMs)}`}: ${p.reason}`,
    cure: undefined,
  }));
}

function mtu({ status }: NodeFacts): readonly Check[] {
  const narrow = status.peers.filter(p => p.mtuLimit !== undefined);
  if (narrow.length === 0) return [ok('mtu', `paths take whole packets of ${status.mtu ?? '?'} bytes`)];
  return narrow.map(p => ({
    id: `mtu ${p.node}`,
    grade: 'info' as const,
    what:
      p.mtuLimit === 'black hole'
        ? `on the way to ${p.node} larger packets than ${p.mtu} bytes vanish without a word; weft sends no larger ones there`
        : `the underlay on the way to ${p.node} takes packets of ${p.mtu} bytes; weft sends no larger ones there`,
    cure: undefined,
  }));
}

const RESTART = 'kubectl -n weft rollout restart daemonset weft';

function settings({ settings: { path, error, changed } }: NodeFacts): readonly Check[] {
  const id = 'settings';
  if (path === undefined) return [];
  if (error !== undefined)
    return [
      {
        id,
        grade: 'error',
        what: `${path} has errors since a change, so that this agent works by older settings and its next start will fail: ${error.replaceAll('\n', '; ')}`,
        cure: `mend the ConfigMap weft-config (docs/settings.md has all settings), then: ${RESTART}`,
      },
    ];
  if (changed.length === 0) return [ok(id, 'the settings in force are those of the file')];
  return [
    {
      id,
      grade: 'warning',
      what: `${changed.join(', ')} ${changed.length > 1 ? 'have' : 'has'} changed in ${path} since this agent’s start, and ${changed.length > 1 ? 'are' : 'is'} not in force yet`,
      cure: RESTART,
    },
  ];
}

function cidrs({ status, clusterCidrsSet }: NodeFacts): readonly Check[] {
  if (clusterCidrsSet) return [ok('cluster CIDRs', `clusterCidrs is set: ${status.clusterCidrs.join(', ')}`)];
  return [
    {
      id: 'cluster CIDRs',
      grade: 'warning',
      what: 'the setting clusterCidrs is empty: packets for a pod of a node that is not known yet can leave this node in clear',
      cure: 'set clusterCidrs to the --cluster-cidr of kube-controller-manager (k3s: 10.42.0.0/16 unless changed)',
    },
  ];
}

function proxy({ proxyMode }: NodeFacts): Check {
  if (proxyMode === undefined)
    return {
      id: 'kube-proxy mode',
      grade: 'info',
      what: 'kube-proxy does not answer on 127.0.0.1:10249: Services are somebody else’s, or that port is closed',
      cure: undefined,
    };
  // What ipvs costs is among the findings of the host.
  return ok('kube-proxy mode', `kube-proxy works by ${proxyMode}`);
}

function rights({ rights: all }: NodeFacts): readonly Check[] {
  const missing = all.filter(right => right.allowed === false);
  const unknown = all.filter(right => right.allowed === undefined);
  if (missing.length > 0)
    return missing.map(({ verb, resource, subresource, group, lost }) => ({
      id: `right ${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}`,
      grade: 'error' as const,
      what: `the agent may not ${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}${group === '' ? '' : `.${group}`}; lost without it: ${lost}`,
      cure: 'apply weft’s manifests again: their ClusterRole weft grants it',
    }));
  if (unknown.length > 0)
    return [
      {
        id: 'rights',
        grade: 'info',
        what: 'the API server could not be asked for the agent’s rights',
        cure: undefined,
      },
    ];
  return [ok('rights', 'the agent has every right that it needs')];
}

function guard({ guarded }: NodeFacts): Check {
  const id = 'admission policy';
  if (guarded === undefined)
    return {
      id,
      grade: 'info',
      what: 'the API server could not be asked whether the admission policy works',
      cure: undefined,
    };
  if (guarded) return ok(id, 'the admission policy binds each agent to the annotations of its own Node');
  return {
    id,
    grade: 'warning',
    what: 'the admission policy is missing or not bound: whoever has the token of one node’s agent can change every Node',
    cure: 'apply weft’s manifests again (ValidatingAdmissionPolicy weft-own-node and its binding; Kubernetes 1.30 or later)',
  };
}

function runtime({ node, status, cniConfDir, cniBinDir }: NodeFacts): readonly Check[] {
  if (node === undefined) return [];
  if (node.notReady === undefined) return [ok('container runtime', 'the kubelet calls this node Ready')];
  const installed = status.parts.some(part => part.part === 'cni' && part.ready);
  const blind = installed && /cni plugin not initialized|cni config uninitialized/i.test(node.notReady);
  return [
    {
      id: 'container runtime',
      grade: 'error',
      what: blind
        ? `weft has installed its plugin in ${cniBinDir} and ${cniConfDir}, but the container runtime (${node.kubeletVersion}) does not see it: ${node.notReady}`
        : `the kubelet calls this node not Ready: ${node.notReady}`,
      cure: blind
        ? 'set cniBinDir and cniConfDir to the runtime’s bin_dir and conf_dir: containerd config dump | grep -A3 cni; k3s: /var/lib/rancher/k3s/agent/etc/containerd/config.toml'
        : undefined,
    },
  ];
}

function others({ status }: NodeFacts): readonly Check[] {
  const { leftovers, otherConfigs } = status.cni;
  const found = leftovers.map(
    (what, i): Check => ({ id: `leftover ${i + 1}`, grade: 'warning', what, cure: undefined }),
  );
  const earlier = otherConfigs.earlier.filter(file => !leftovers.some(text => text.includes(file)));
  return [
    ...found,
    ...earlier.map(
      (file): Check => ({
        id: `other plugin ${file}`,
        grade: 'error',
        what: `${file} comes before weft’s configuration, so the runtime takes that plugin`,
        cure: `remove ${file} once its plugin is uninstalled`,
      }),
    ),
  ];
}

/** Soon there is none left. */
const NEARLY_FULL = 0.9;

const addresses = ({ status }: NodeFacts): readonly Check[] =>
  status.cni.pools.map(pool => {
    const id = `addresses ${pool.cidr}`;
    if (fillOf(pool) < NEARLY_FULL) return ok(id, poolText(pool));
    const full = isFull(pool);
    return {
      id,
      grade: full ? 'error' : 'warning',
      what: `${poolText(pool)}: ${full ? 'no further pod starts here' : 'soon no further pod will start here'}`,
      cure: POOL_CURE,
    };
  });

/** Worst first. */
export const checks = (facts: NodeFacts): readonly Check[] =>
  worstFirst([
    ...parts(facts),
    ...mesh(facts),
    ...(waits(facts) ? [] : reachability(facts)),
    ...facts.status.host.findings.map(
      ({ id, severity, what, cure }): Check => ({ id, grade: severity, what, cure }),
    ),
    ...hands(facts),
    ...others(facts),
    ...addresses(facts),
    ...runtime(facts),
    ...(waits(facts) ? [] : [...features(facts), ...mtu(facts)]),
    ...cidrs(facts),
    ...settings(facts),
    guard(facts),
    ...rights(facts),
    proxy(facts),
  ]);
