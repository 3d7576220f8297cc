/** Cases of egress, of both directions together, and of networks. */
import type { RawPeer } from '../naive.ts';
import {
  type Case,
  EVERYTHING,
  namespace,
  notNamespace,
  on,
  pod,
  policy,
  type Rules,
  type Step,
} from './case.ts';

const to = (...peers: RawPeer[]): Rules => ({ egress: [{ peers }] });
const ofA = (name: string, rules: Rules) => policy('x', name, pod('a'), rules);
const DENIED = ['x/a', '*', false] as const;

const hostCidr = (ip: string): string => `${ip}/${ip.includes(':') ? 128 : 32}`;
/** A network of many pods around it. */
const around = (ip: string): string =>
  ip.includes(':') ? `${ip.split(':').slice(0, 2).join(':')}::/32` : `${ip.split('.')[0]}.0.0.0/8`;

const allButB = (ip: (pod: string) => string): Step => ({
  policies: [
    ofA(
      'allow-client-a-via-cidr-egress-rule',
      to({ ipBlock: { cidr: around(ip('x/b')), except: [hostCidr(ip('x/b'))] } }),
    ),
  ],
  checks: [on(80, [['x/a', 'x/b', false]])],
});

export const EGRESS: readonly Case[] = [
  {
    name: 'should allow egress access on one named port',
    steps: () => [
      {
        policies: [
          policy('x', 'allow-egress', EVERYTHING, { egress: [{ ports: [{ port: 'serve-80-tcp' }] }] }),
        ],
        checks: [on(80), on(81, [['x/*', '*', false]])],
      },
    ],
  },
  {
    name: 'should deny egress from pods based on PodSelector',
    steps: () => [{ policies: [ofA('deny-egress-pod-a', { egress: [] })], checks: [on(80, [DENIED])] }],
  },
  {
    name: 'should deny egress from all pods in a namespace',
    steps: () => [
      {
        policies: [policy('x', 'deny-egress-ns-x', EVERYTHING, { egress: [] })],
        checks: [on(80, [['x/*', '*', false]])],
      },
    ],
  },
  {
    name: 'should work with Ingress, Egress specified together',
    steps: () => [
      {
        policies: [
          ofA('allow-client-a-via-pod-selector', {
            ingress: [{ peers: [{ podSelector: pod('b') }] }],
            egress: [{ ports: [{ port: 80 }] }],
          }),
        ],
        checks: [
          on(80, [
            ['*', 'x/a', false],
            ['x/b', 'x/a', true],
          ]),
          on(81, [['*', 'x/a', false], DENIED, ['x/b', 'x/a', true]]),
        ],
      },
    ],
  },
  {
    name: 'should support denying of egress traffic on the client side (even if the server explicitly allows this traffic)',
    steps: () => {
      const fromXA: Rules = {
        ingress: [{ peers: [{ namespaceSelector: namespace('x'), podSelector: pod('a') }] }],
      };
      return [
        {
          policies: [
            ofA('allow-to-ns-y-pod-a', to({ namespaceSelector: namespace('y'), podSelector: pod('a') })),
            policy('y', 'allow-from-xa-on-ya-match-selector', pod('a'), fromXA),
            policy('y', 'allow-from-xa-on-yb-match-selector', pod('b'), fromXA),
          ],
          checks: [on(80, [DENIED, ['*', 'y/a', false], ['x/a', 'y/a', true], ['*', 'y/b', false]])],
        },
      ];
    },
  },
  {
    name: 'should enforce egress policy allowing traffic to a server in a different namespace based on PodSelector and NamespaceSelector',
    steps: () => [
      {
        policies: [
          ofA('allow-to-ns-y-pod-a', to({ namespaceSelector: namespace('y'), podSelector: pod('a') })),
        ],
        checks: [on(80, [DENIED, ['x/a', 'y/a', true]])],
      },
    ],
  },
  {
    name: 'should enforce multiple egress policies with egress allow-all policy taking precedence',
    steps: () => {
      const only80 = policy('x', 'allow-egress-port-80', EVERYTHING, { egress: [{ ports: [{ port: 80 }] }] });
      const all = policy('x', 'allow-egress', EVERYTHING, { egress: [{}] });
      return [
        { policies: [only80], checks: [on(81, [['x/*', '*', false]])] },
        { policies: [only80, all], checks: [on(81)] },
      ];
    },
  },
  {
    name: 'should allow egress access to server in CIDR block',
    steps: ip => [
      {
        policies: [
          ofA('allow-client-a-via-cidr-egress-rule', to({ ipBlock: { cidr: hostCidr(ip('y/b')) } })),
        ],
        checks: [on(80, [DENIED, ['x/a', 'y/b', true]])],
      },
    ],
  },
  {
    name: 'should enforce except clause while egress access to server in CIDR block',
    steps: ip => [allButB(ip)],
  },
  {
    name: 'should ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed',
    steps: ip => [
      allButB(ip),
      {
        policies: [
          ofA('allow-client-a-via-cidr-egress-rule', to({ ipBlock: { cidr: hostCidr(ip('x/b')) } })),
        ],
        checks: [on(80, [DENIED, ['x/a', 'x/b', true]])],
      },
    ],
  },
  {
    name: 'should enforce policies to check ingress and egress policies can be controlled independently based on PodSelector',
    steps: () => {
      const egress = ofA('allow-egress-for-target', { egress: [{}] });
      const ingress = ofA('deny-ingress-via-label-selector', { ingress: [] });
      return [
        { policies: [egress], checks: [on(80)] },
        { policies: [egress, ingress], checks: [on(80, [['*', 'x/a', false]])] },
      ];
    },
  },
  {
    name: 'should enforce policy based on NamespaceSelector with MatchExpressions using default ns label',
    steps: () => [
      {
        policies: [
          ofA(
            'allow-ns-y-match-selector-for-immutable-ns-label',
            to({ namespaceSelector: notNamespace('y') }),
          ),
        ],
        checks: [on(80, [['x/a', 'y/*', false]])],
      },
    ],
  },
];
