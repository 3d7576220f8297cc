/** Cases of change: of policies, namespaces and pods. */
import { type Case, EVERYTHING, namespace, on, pod, policy } from './case.ts';

const DENIED = ['*', 'x/a', false] as const;
const X_DENIED = ['*', 'x/*', false] as const;

export const UPDATES: readonly Case[] = [
  {
    name: 'should enforce updated policy',
    steps: () => [
      {
        policies: [policy('x', 'allow-all-mutate-to-deny-all', EVERYTHING, { ingress: [{}] })],
        checks: [on(81)],
      },
      {
        policies: [policy('x', 'allow-all-mutate-to-deny-all', EVERYTHING, { ingress: [] })],
        checks: [on(81, [X_DENIED])],
      },
    ],
  },
  {
    name: 'should allow ingress access from updated namespace',
    steps: () => {
      const policies = [
        policy('x', 'allow-client-a-via-ns-selector', pod('a'), {
          ingress: [{ peers: [{ namespaceSelector: { matchLabels: { ns2: 'updated' } } }] }],
        }),
      ];
      return [
        { policies, checks: [on(80, [DENIED])] },
        {
          policies,
          namespaceLabels: { y: { ns2: 'updated' } },
          checks: [on(80, [DENIED, ['y/*', '*', true]])],
        },
      ];
    },
  },
  {
    name: 'should allow ingress access from updated pod',
    steps: () => {
      const policies = [
        policy('x', 'allow-client-a-via-pod-selector', pod('a'), {
          ingress: [{ peers: [{ podSelector: { matchLabels: { pod: 'b', pod2: 'updated' } } }] }],
        }),
      ];
      return [
        { policies, checks: [on(80, [DENIED])] },
        {
          policies,
          podLabels: { 'x/b': { pod2: 'updated' } },
          checks: [on(80, [DENIED, ['x/b', 'x/a', true]])],
        },
      ];
    },
  },
  {
    name: 'should deny ingress from pods on other namespaces',
    steps: () => [
      {
        policies: [
          policy('x', 'deny-empty-policy', EVERYTHING, {
            ingress: [{ peers: [{ podSelector: { matchLabels: {} } }] }],
          }),
        ],
        checks: [
          on(80, [
            ['y/*', 'x/*', false],
            ['z/*', 'x/*', false],
          ]),
        ],
      },
    ],
  },
  {
    name: 'should deny ingress access to updated pod',
    steps: () => {
      const policies = [
        policy(
          'x',
          'deny-ingress-via-label-selector',
          { matchLabels: { target: 'isolated' } },
          { ingress: [] },
        ),
      ];
      return [
        { policies, checks: [on(80)] },
        { policies, podLabels: { 'x/a': { target: 'isolated' } }, checks: [on(80, [DENIED])] },
      ];
    },
  },
  {
    name: 'should enforce multiple ingress policies with ingress allow-all policy taking precedence',
    steps: () => {
      const only80 = policy('x', 'allow-ingress-port-80', EVERYTHING, {
        ingress: [{ ports: [{ port: 80 }] }],
      });
      const all = policy('x', 'allow-ingress', EVERYTHING, { ingress: [{}] });
      return [
        { policies: [only80], checks: [on(81, [X_DENIED])] },
        { policies: [only80, all], checks: [on(81)] },
      ];
    },
  },
  {
    name: 'should stop enforcing policies after they are deleted',
    steps: () => [
      {
        policies: [policy('x', 'deny-all', EVERYTHING, { ingress: [], egress: [] })],
        checks: [on(80, [['x/*', '*', false], X_DENIED])],
      },
      { policies: [], checks: [on(80)] },
    ],
  },
  {
    name: 'should enforce policy to allow traffic based on NamespaceSelector with MatchLabels using default ns label',
    steps: () => [
      {
        policies: [
          policy('x', 'allow-client-a-via-ns-selector-for-immutable-ns-label', pod('a'), {
            ingress: [{ peers: [{ namespaceSelector: namespace('y') }] }],
          }),
        ],
        checks: [
          on(80, [
            ['x/*', 'x/a', false],
            ['z/*', 'x/a', false],
          ]),
        ],
      },
    ],
  },
];
