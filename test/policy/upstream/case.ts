/**
 * The cases of Kubernetes' own end-to-end tests `Netpol` (kubernetes/kubernetes,
 * test/e2e/network/netpol/network_policy.go), with their names, as data: namespaces x, y and z with
 * pods a, b and c each, labelled pod=a and so on, and what each may reach after each step. A pod and
 * itself are never asked, as there.
 */
import type { RawLabels, RawPeer, RawPolicy, RawPort, RawSelector } from '../naive.ts';

/** `x/a`, `x/*` or `*`. */
export type PodPattern = string;

/** From whom, to whom, whether: all is allowed at first, later lines hold over earlier ones. */
export type Expectation = readonly [PodPattern, PodPattern, boolean];

export type Check = {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly port: number;
  readonly expect: readonly Expectation[];
};

/** The whole state, not a change to the one before. */
export type Step = {
  readonly policies: readonly RawPolicy[];
  /** Beside kubernetes.io/metadata.name and pod=…; by namespace, and by `x/a`. */
  readonly namespaceLabels?: Readonly<Record<string, RawLabels>>;
  readonly podLabels?: Readonly<Record<string, RawLabels>>;
  readonly checks: readonly Check[];
};

export type Case = {
  /** As upstream prints it, after "NetworkPolicy between server and client", with "using UDP" and so on before. */
  readonly name: string;
  /** `ip` tells a pod's address in the family under test. */
  readonly steps: (ip: (pod: string) => string) => readonly Step[];
};

export const NAMESPACES = ['x', 'y', 'z'] as const;
export const PODS: readonly string[] = NAMESPACES.flatMap(ns => ['a', 'b', 'c'].map(name => `${ns}/${name}`));

/** Every pod serves these, under names such as serve-80-tcp. */
export const PORTS = [80, 81] as const;
export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;

const fits = (pattern: PodPattern, pod: string): boolean =>
  pattern === '*' || pattern === pod || (pattern.endsWith('/*') && pod.startsWith(pattern.slice(0, -1)));

export const expected = ({ expect }: Check, from: string, to: string): boolean =>
  expect.findLast(([a, b]) => fits(a, from) && fits(b, to))?.[2] ?? true;

export const NAME_LABEL = 'kubernetes.io/metadata.name';

type Rule = { readonly peers?: readonly RawPeer[]; readonly ports?: readonly RawPort[] };

/** The direction is isolated when its rules are given, be they none. */
export type Rules = { readonly ingress?: readonly Rule[]; readonly egress?: readonly Rule[] };

export const policy = (
  namespace: string,
  name: string,
  podSelector: RawSelector,
  { ingress, egress }: Rules,
): RawPolicy => ({
  metadata: { namespace, name },
  spec: {
    podSelector,
    policyTypes: [...(ingress ? (['Ingress'] as const) : []), ...(egress ? (['Egress'] as const) : [])],
    ...(ingress && {
      ingress: ingress.map(({ peers, ports }) => ({
        ...(peers && { from: peers }),
        ...(ports && { ports }),
      })),
    }),
    ...(egress && {
      egress: egress.map(({ peers, ports }) => ({ ...(peers && { to: peers }), ...(ports && { ports }) })),
    }),
  },
});

export const pod = (name: string): RawSelector => ({ matchLabels: { pod: name } });
export const namespace = (name: string): RawSelector => ({ matchLabels: { [NAME_LABEL]: name } });
export const notNamespace = (name: string): RawSelector => ({
  matchExpressions: [{ key: NAME_LABEL, operator: 'NotIn', values: [name] }],
});
export const EVERYTHING: RawSelector = {};

export const on = (
  port: number,
  expect: readonly Expectation[] = [],
  protocol: Check['protocol'] = 'TCP',
): Check => ({
  protocol,
  port,
  expect,
});
