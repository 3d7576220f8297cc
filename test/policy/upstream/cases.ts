/** All of them, and the world that they are asked in. */
import type { RawNode, World } from '../naive.ts';
import { type Case, NAME_LABEL, NAMESPACES, PODS, PORTS, PROTOCOLS, type Step } from './case.ts';
import { EGRESS } from './egress.ts';
import { INGRESS } from './ingress.ts';
import { PROTOCOL_CASES } from './protocols.ts';
import { UPDATES } from './updates.ts';

export const CASES: readonly Case[] = [...INGRESS, ...EGRESS, ...UPDATES, ...PROTOCOL_CASES];

/** Pods are so placed that each case has pairs on one node and on two, in and across namespaces. */
export const UPSTREAM_NODES: readonly RawNode[] = [0, 1, 2].map(n => ({
  name: `n${n}`,
  addresses: [`192.0.2.${n + 1}`, `2001:db8::${n + 1}`],
  gateways: [`10.42.${n}.1`, `fd42:0:0:${n + 1}::1`],
}));

const PLACES = [0, 0, 1, 1, 2, 0, 2, 1, 2];
const nodeOf = (pod: string): number => PLACES[PODS.indexOf(pod)] as number;

/** Address of `x/a` in a family. */
export const ipOf =
  (family: 4 | 6) =>
  (pod: string): string =>
    family === 4
      ? `10.42.${nodeOf(pod)}.${PODS.indexOf(pod) + 2}`
      : `fd42:0:0:${nodeOf(pod) + 1}::${PODS.indexOf(pod) + 2}`;

const containerPorts = PROTOCOLS.flatMap(protocol =>
  PORTS.map(port => ({ name: `serve-${port}-${protocol.toLowerCase()}`, containerPort: port, protocol })),
);

/** Pods of one family, or of both. */
export const worldOf = (step: Step, families: readonly (4 | 6)[]): World => ({
  nodes: UPSTREAM_NODES,
  policies: step.policies,
  namespaces: NAMESPACES.map(name => ({
    metadata: { name, labels: { [NAME_LABEL]: name, ...step.namespaceLabels?.[name] } },
  })),
  pods: PODS.map(key => {
    const [namespace = '', name = ''] = key.split('/');
    return {
      metadata: { namespace, name, uid: key, labels: { pod: name, ...step.podLabels?.[key] } },
      spec: { nodeName: `n${nodeOf(key)}`, containers: [{ ports: containerPorts }] },
      status: { phase: 'Running', podIPs: families.map(family => ({ ip: ipOf(family)(key) })) },
    };
  }),
});
