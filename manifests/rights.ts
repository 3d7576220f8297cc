/** Who the agent is and what it may ask of the API server. */
import type {
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1Namespace,
  V1ServiceAccount,
} from '@kubernetes/client-node';
import { RIGHTS, type Right } from '../discovery/rights.ts';
import { AGENT, labels, NAMESPACE } from './names.ts';
import type { Manifest } from './yaml.ts';

const namespace: V1Namespace = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name: NAMESPACE,
    labels: {
      ...labels(AGENT),
      'pod-security.kubernetes.io/enforce': 'privileged',
      'pod-security.kubernetes.io/audit': 'privileged',
      'pod-security.kubernetes.io/warn': 'privileged',
    },
  },
};

const account: V1ServiceAccount = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: AGENT, namespace: NAMESPACE, labels: labels(AGENT) },
};

const nameOf = ({ resource, subresource }: Right): string =>
  subresource === undefined ? resource : `${resource}/${subresource}`;

/** One rule a resource, with exactly the verbs that the agent uses. */
const rules = [...Map.groupBy(RIGHTS, right => `${right.group} ${nameOf(right)}`).values()].map(
  ([first, ...more]) => ({
    apiGroups: [first?.group ?? ''],
    resources: [first === undefined ? '' : nameOf(first)],
    verbs: [first, ...more].flatMap(right => right?.verb ?? []),
  }),
);

const role: V1ClusterRole = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: AGENT, labels: labels(AGENT) },
  rules,
};

const binding: V1ClusterRoleBinding = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: AGENT, labels: labels(AGENT) },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: AGENT },
  subjects: [{ kind: 'ServiceAccount', name: AGENT, namespace: NAMESPACE }],
};

export const rights: readonly Manifest[] = [
  {
    object: namespace,
    comments: {
      'metadata.labels':
        'A network agent works in the host’s network, which the other levels of Pod Security forbid.',
    },
  },
  { object: account },
  {
    object: role,
    comments: {
      'rules.0':
        'What may be patched, and on which Node, is narrowed by the ValidatingAdmissionPolicies below.',
      'rules.4':
        'For the one condition NetworkUnavailable, which some clouds set on new Nodes and which keeps pods off them.',
    },
  },
  { object: binding },
];
