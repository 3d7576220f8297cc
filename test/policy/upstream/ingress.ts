/** Cases 1 to 18 of conformance: who may come in. */

import type { RawPeer, RawPort } from '../naive.ts';
import {
  type Case,
  EVERYTHING,
  NAME_LABEL,
  namespace,
  notNamespace,
  on,
  pod,
  policy,
  type Rules,
} from './case.ts';

const once = (
  name: string,
  policies: ReturnType<typeof policy>[],
  ...checks: ReturnType<typeof on>[]
): Case => ({
  name,
  steps: () => [{ policies, checks }],
});

const from = (...peers: RawPeer[]): Rules => ({ ingress: [{ peers }] });
const toA = (name: string, rules: Rules) => policy('x', name, pod('a'), rules);

const DENIED = ['*', 'x/a', false] as const;
const X_DENIED = ['*', 'x/*', false] as const;
const ONLY_Y = [
  ['x/*', 'x/a', false],
  ['z/*', 'x/a', false],
] as const;

const fromY = (...ports: RawPort[]): Rules => ({
  ingress: [{ peers: [{ namespaceSelector: namespace('y') }], ports }],
});

export const INGRESS: readonly Case[] = [
  once(
    "should support a 'default-deny-ingress' policy",
    [policy('x', 'deny-ingress', EVERYTHING, { ingress: [] })],
    on(80, [X_DENIED]),
  ),
  once(
    "should support a 'default-deny-all' policy",
    [policy('x', 'deny-all', EVERYTHING, { ingress: [], egress: [] })],
    on(80, [X_DENIED, ['x/*', '*', false]]),
  ),
  once(
    'should enforce policy to allow traffic from pods within server namespace based on PodSelector',
    [toA('x-a-allows-x-b', from({ podSelector: pod('b') }))],
    on(80, [DENIED, ['x/b', 'x/a', true]]),
  ),
  once(
    'should enforce policy to allow ingress traffic for a target',
    [
      policy('x', 'deny-all', EVERYTHING, { ingress: [] }),
      toA('allow-all-to-a', from({ podSelector: EVERYTHING, namespaceSelector: EVERYTHING })),
    ],
    on(80, [X_DENIED, ['*', 'x/a', true]]),
  ),
  once(
    'should enforce policy to allow ingress traffic from pods in all namespaces',
    [toA('allow-from-another-ns', from({ namespaceSelector: { matchLabels: {} } }))],
    on(80),
  ),
  once(
    'should enforce policy to allow traffic only from a different namespace, based on NamespaceSelector',
    [toA('allow-client-a-via-ns-selector', from({ namespaceSelector: namespace('y') }))],
    on(80, ONLY_Y),
  ),
  once(
    'should enforce policy based on PodSelector with MatchExpressions',
    [
      toA(
        'x-a-allows-x-b',
        from({ podSelector: { matchExpressions: [{ key: 'pod', operator: 'In', values: ['b'] }] } }),
      ),
    ],
    on(80, [DENIED, ['x/b', 'x/a', true]]),
  ),
  once(
    'should enforce policy based on NamespaceSelector with MatchExpressions',
    [
      toA(
        'allow-ns-y-match-selector',
        from({
          namespaceSelector: { matchExpressions: [{ key: NAME_LABEL, operator: 'In', values: ['y'] }] },
        }),
      ),
    ],
    on(80, ONLY_Y),
  ),
  once(
    'should enforce policy based on PodSelector or NamespaceSelector',
    [
      toA(
        'allow-ns-y-match-selector',
        from({ namespaceSelector: notNamespace('x') }, { podSelector: pod('b') }),
      ),
    ],
    on(80, [['x/c', 'x/a', false]]),
  ),
  once(
    'should enforce policy based on PodSelector and NamespaceSelector',
    [
      toA(
        'allow-ns-y-podselector-and-nsselector',
        from({ namespaceSelector: notNamespace('x'), podSelector: pod('b') }),
      ),
    ],
    on(80, [DENIED, ['y/b', 'x/a', true], ['z/b', 'x/a', true]]),
  ),
  once(
    'should enforce policy based on Multiple PodSelectors and NamespaceSelectors',
    [
      toA(
        'allow-ns-y-z-pod-b-c',
        from({
          namespaceSelector: notNamespace('x'),
          podSelector: { matchExpressions: [{ key: 'pod', operator: 'In', values: ['b', 'c'] }] },
        }),
      ),
    ],
    on(80, [
      ['x/*', 'x/a', false],
      ['y/a', 'x/a', false],
      ['z/a', 'x/a', false],
    ]),
  ),
  once(
    'should enforce policy based on any PodSelectors',
    [toA('allow-ns-x-pod-b-c', from({ podSelector: pod('b') }, { podSelector: pod('c') }))],
    on(80, [DENIED, ['x/b', 'x/a', true], ['x/c', 'x/a', true]]),
  ),
  once(
    'should enforce policy to allow traffic only from a pod in a different namespace based on PodSelector and NamespaceSelector',
    [
      toA(
        'allow-ns-y-pod-a-via-namespace-pod-selector',
        from({ namespaceSelector: namespace('y'), podSelector: pod('a') }),
      ),
    ],
    on(80, [DENIED, ['y/a', 'x/a', true]]),
  ),
  once(
    'should enforce policy based on Ports',
    [toA('allow-client-a-via-ns-selector', fromY({ port: 81, protocol: 'TCP' }))],
    on(81, ONLY_Y),
  ),
  {
    name: 'should enforce multiple, stacked policies with overlapping podSelectors',
    steps: () => {
      const only81 = toA('allow-client-a-via-ns-selector', fromY({ port: 81, protocol: 'TCP' }));
      const also80 = toA('allow-client-a-via-ns-selector-80', fromY({ port: 80, protocol: 'TCP' }));
      return [
        { policies: [only81], checks: [on(81, ONLY_Y), on(80, [DENIED])] },
        { policies: [only81, also80], checks: [on(80, ONLY_Y)] },
      ];
    },
  },
  once(
    'should support allow-all policy',
    [policy('x', 'allow-all', EVERYTHING, { ingress: [{}] })],
    on(80),
    on(81),
  ),
  once(
    'should allow ingress access on one named port',
    [policy('x', 'allow-all', EVERYTHING, { ingress: [{ ports: [{ port: 'serve-81-tcp' }] }] })],
    on(81),
    on(80, [X_DENIED]),
  ),
  once(
    'should allow ingress access from namespace on one named port',
    [toA('allow-client-a-via-ns-selector-80', fromY({ port: 'serve-80-tcp', protocol: 'TCP' }))],
    on(80, ONLY_Y),
    on(81, [DENIED]),
  ),
];
