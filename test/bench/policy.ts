/** What policies cost the agent's processor: compiling a cluster, and following one change. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { newCompiler } from '../../policy/compile.ts';
import { diff } from '../../policy/diff.ts';
import { parsePod, parsePolicy } from '../../policy/parse.ts';
import { renderTable } from '../../policy/render.ts';
import { tableOf } from '../../policy/table.ts';
import type { Cluster, Labels, Pod, Policy, RuleSet } from '../../policy/types.ts';
import type { Result } from '../../types.ts';
import { median } from './stats.ts';

export const NAMESPACES = 50;
const NODES = 10;

/** `own`: peers of the policy's namespace. `wide`: pods of all namespaces, as an ingress controller's are. */
type Kind = 'own' | 'wide';

export type PolicyBench = {
  readonly kind: Kind;
  readonly policies: number;
  readonly pods: number;
  readonly chains: number;
  readonly elements: number;
  /** Milliseconds. */
  readonly compileMs: number;
  readonly renderMs: number;
  /** One change compiled and compared: median and worst of a hundred. */
  readonly podMs: number;
  readonly podWorstMs: number;
  readonly policyMs: number;
  readonly namespaceMs: number;
  /** Heap of the parsed policies and the compiler, without the pods. */
  readonly megabytes: number;
};

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

const app = (n: number): { app: string } => ({ app: `app${n % 10}` });

/** Pod number `n` as the API has it. */
export const rawPod = (n: number, labels: Record<string, string> = {}) => ({
  metadata: {
    namespace: `ns${n % NAMESPACES}`,
    name: `pod${n}`,
    uid: `${n}`,
    labels: { ...app(Math.floor(n / NAMESPACES)), tier: `t${n % 3}`, ...labels },
  },
  spec: {
    nodeName: `n${Math.floor(n / NAMESPACES) % NODES}`,
    containers: [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: 8080 }] }],
  },
  status: {
    phase: 'Running',
    podIPs: [{ ip: `10.42.${n >> 8}.${n & 255}` }, { ip: `fd42::${(n + 1).toString(16)}` }],
  },
});

const podAt = (n: number, labels: Record<string, string> = {}): Pod => value(parsePod(rawPod(n, labels)));

/** Of namespaces: the team, which the bench changes. */
const TEAM = { namespaceSelector: { matchLabels: { team: '7' } } };

const PEERS: Readonly<Record<Kind, (n: number) => readonly unknown[]>> = {
  own: n => [{ podSelector: { matchLabels: app(n) } }, { podSelector: { matchLabels: app(n + 1) } }],
  wide: n => [
    { namespaceSelector: {}, podSelector: { matchLabels: { tier: `t${n % 3}` } } },
    { podSelector: { matchLabels: app(n) } },
  ],
};

const ports = (n: number): readonly unknown[] => [
  { port: 80 + (n % 5) },
  { port: 'http' },
  { protocol: 'UDP', port: 53 },
];

/** Of each kind that there is: closed, by labels and ports, by networks, by ranges, with egress. */
function specOf(kind: Kind, n: number): unknown {
  const podSelector = n % 5 === 0 ? {} : { matchLabels: app(Math.floor(n / NAMESPACES)) };
  const from = PEERS[kind](n);
  if (n % 10 === 0) return { podSelector: {}, policyTypes: ['Ingress', 'Egress'] };
  if (n % 10 === 1)
    return {
      podSelector,
      ingress: [
        {
          from: [{ ipBlock: { cidr: `10.${n % 200}.0.0/16`, except: [`10.${n % 200}.7.0/24`] } }],
          ports: [{ port: 443 }],
        },
      ],
    };
  if (n % 10 === 2)
    return {
      podSelector,
      policyTypes: ['Egress'],
      egress: [
        { to: from, ports: ports(n) },
        { to: [{ namespaceSelector: {} }], ports: [{ protocol: 'UDP', port: 53 }] },
      ],
    };
  if (n % 10 === 3) return { podSelector, ingress: [{ from, ports: [{ port: 8000, endPort: 8100 }] }] };
  if (n % 10 === 4) return { podSelector, ingress: [{ from: [TEAM, ...from] }] };
  return { podSelector, ingress: [{ from, ports: ports(n) }] };
}

/** Policy number `n` as the API has it. */
export const rawPolicy = (kind: Kind, n: number, spec = specOf(kind, n)) => ({
  metadata: { namespace: `ns${n % NAMESPACES}`, name: `policy${n}` },
  spec,
});

const policyAt = (kind: Kind, n: number, spec = specOf(kind, n)): Policy =>
  value(parsePolicy(rawPolicy(kind, n, spec)));

const named = (name: string, more: Record<string, string> = {}): Labels =>
  new Map(Object.entries({ 'kubernetes.io/metadata.name': name, team: name.slice(-1), ...more }));

const clusterOf = (kind: Kind, policies: number, pods: number): Cluster => ({
  self: 'n0',
  policies: Array.from({ length: policies }, (_, n) => policyAt(kind, n)),
  pods: Array.from({ length: pods }, (_, n) => podAt(n)),
  namespaces: Array.from({ length: NAMESPACES }, (_, n) => ({ name: `ns${n}`, labels: named(`ns${n}`) })),
  nodes: [],
  unknown: [],
});

const timed = <T>(work: () => T): readonly [T, number] => {
  const begin = performance.now();
  const result = work();
  return [result, performance.now() - begin];
};

/** Each change stays, and each is compared with the one before. */
function follow(
  compile: (cluster: Cluster) => RuleSet,
  start: Cluster,
  changes: number,
  change: (old: Cluster, n: number) => Cluster,
): readonly number[] {
  let cluster = start;
  let rules = compile(cluster);
  return Array.from({ length: changes }, (_, n) => {
    cluster = change(cluster, n);
    const [next, ms] = timed(() => {
      const made = compile(cluster);
      diff(rules, made);
      return made;
    });
    rules = next;
    return ms;
  });
}

const replaced = <T>(list: readonly T[], at: number, item: T): readonly T[] =>
  list.map((one, n) => (n === at ? item : one));

const otherPod = (old: Cluster, n: number): Cluster => ({
  ...old,
  pods: replaced(
    old.pods,
    (n * 37) % old.pods.length,
    podAt((n * 37) % old.pods.length, { ...app(n), tier: `t${(n + 1) % 3}` }),
  ),
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const heap = (): number => {
  collect();
  return process.memoryUsage().heapUsed;
};

export function benchPolicy(kind: Kind, policies: number, pods: number): PolicyBench {
  const warm = newCompiler();
  warm(clusterOf(kind, 100, 100));
  const cluster = clusterOf(kind, policies, pods);
  const compileMs = Array.from({ length: 7 }, () => timed(() => newCompiler()(cluster))[1]);
  const before = heap();
  const compile = newCompiler();
  const kept = { ...cluster, policies: Array.from({ length: policies }, (_, n) => policyAt(kind, n)) };
  const rules = compile(kept);
  const megabytes = (heap() - before) / 2 ** 20;
  const table = tableOf(rules);
  const podTimes = follow(compile, kept, 100, otherPod);
  return {
    kind,
    policies,
    pods,
    chains: rules.chains.size,
    elements: [...table.sets.values()].reduce((sum, set) => sum + set.size, 0),
    compileMs: median(compileMs),
    renderMs: median(Array.from({ length: 5 }, () => timed(() => renderTable(rules))[1])),
    podMs: median(podTimes),
    podWorstMs: Math.max(...podTimes),
    policyMs: median(
      follow(compile, kept, 50, (old, n) => ({
        ...old,
        policies: replaced(
          old.policies,
          (n * 7) % policies,
          policyAt(kind, (n * 7) % policies, specOf(kind, n + 3)),
        ),
      })),
    ),
    namespaceMs: median(
      follow(compile, kept, 20, (old, n) => ({
        ...old,
        namespaces: replaced(old.namespaces, n, {
          name: `ns${n}`,
          labels: named(`ns${n}`, { team: n % 10 === 7 ? 'none' : '7' }),
        }),
      })),
    ),
    megabytes,
  };
}

export const printPolicy = (b: PolicyBench): string =>
  `${b.policies} policies on ${b.pods} pods, peers ${b.kind === 'own' ? 'of the own namespace' : 'in all namespaces'}: ` +
  `compiled in ${b.compileMs.toFixed(1)} ms to ${b.chains} chains with ${b.elements} elements (text ${b.renderMs.toFixed(0)} ms); ` +
  `a pod's change ${b.podMs.toFixed(2)} ms (worst ${b.podWorstMs.toFixed(1)}), a policy's ${b.policyMs.toFixed(2)} ms, ` +
  `a namespace's ${b.namespaceMs.toFixed(2)} ms; heap ${b.megabytes.toFixed(1)} MB`;
