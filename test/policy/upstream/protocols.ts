/** Cases of protocols: one is never taken for another. */
import { type Case, EVERYTHING, namespace, on, pod, policy } from './case.ts';

const DENIED = ['*', 'x/a', false] as const;
const X_DENIED = ['*', 'x/*', false] as const;

const only = (name: string, protocol: 'UDP' | 'SCTP', port: number) =>
  policy('x', name, pod('a'), { ingress: [{ ports: [{ protocol, port }] }] });

const MIXED: readonly Case[] = [
  {
    name: 'should enforce ingress policy allowing any port traffic to a server on a specific protocol',
    steps: () => [
      {
        policies: [
          policy('x', 'allow-ingress-by-proto', pod('a'), { ingress: [{ ports: [{ protocol: 'TCP' }] }] }),
        ],
        checks: [on(80), on(80, [DENIED], 'UDP')],
      },
    ],
  },
  {
    name: "should not mistakenly treat 'protocol: SCTP' as 'protocol: TCP', even if the plugin doesn't support SCTP",
    steps: () => [
      {
        policies: [
          policy('x', 'deny-ingress', EVERYTHING, { ingress: [] }),
          only('allow-only-sctp-ingress-on-port-81', 'SCTP', 81),
        ],
        checks: [on(81, [X_DENIED])],
      },
    ],
  },
  {
    name: "should properly isolate pods that are selected by a policy allowing SCTP, even if the plugin doesn't support SCTP",
    steps: () => [
      { policies: [only('allow-only-sctp-ingress-on-port-80', 'SCTP', 80)], checks: [on(81, [DENIED])] },
    ],
  },
  {
    name: 'should not allow access by TCP when a policy specifies only UDP',
    steps: () => [
      { policies: [only('allow-only-udp-ingress-on-port-81', 'UDP', 81)], checks: [on(81, [DENIED])] },
    ],
  },
];

/** The three that upstream repeats with UDP and with SCTP. */
const repeated = (protocol: 'UDP' | 'SCTP'): readonly Case[] => [
  {
    name: `using ${protocol}: should support a 'default-deny-ingress' policy`,
    steps: () => [
      {
        policies: [policy('x', 'deny-all', EVERYTHING, { ingress: [] })],
        checks: [on(80, [X_DENIED], protocol)],
      },
    ],
  },
  {
    name: `using ${protocol}: should enforce policy based on Ports`,
    steps: () => [
      {
        policies: [
          policy('x', 'allow-ingress-on-port-81-ns-x', pod('a'), {
            ingress: [{ peers: [{ namespaceSelector: namespace('y') }], ports: [{ port: 81, protocol }] }],
          }),
        ],
        checks: [
          on(
            81,
            [
              ['x/*', 'x/a', false],
              ['z/*', 'x/a', false],
            ],
            protocol,
          ),
        ],
      },
    ],
  },
  {
    name: `using ${protocol}: should enforce policy to allow traffic only from a pod in a different namespace based on PodSelector and NamespaceSelector`,
    steps: () => [
      {
        policies: [
          policy('x', 'allow-ns-y-pod-a-via-namespace-pod-selector', pod('a'), {
            ingress: [{ peers: [{ namespaceSelector: namespace('y'), podSelector: pod('a') }] }],
          }),
        ],
        checks: [on(80, [DENIED, ['y/a', 'x/a', true]], protocol)],
      },
    ],
  },
];

export const PROTOCOL_CASES: readonly Case[] = [...MIXED, ...repeated('UDP'), ...repeated('SCTP')];
