/** Who the agent is and what it may ask of the API server. */
import type {
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1Namespace,
  V1ServiceAccount,
} from '@kubernetes/client-node';
import { RIGHTS } from '../discovery/rights.ts';
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

const verbsOf = (resource: string): string[] =>
  RIGHTS.filter(right => right.resource === resource).map(right => right.verb);

const role: V1ClusterRole = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: AGENT, labels: labels(AGENT) },
  rules: [
    { apiGroups: [''], resources: ['nodes'], verbs: verbsOf('nodes') },
    { apiGroups: [''], resources: ['pods', 'namespaces'], verbs: verbsOf('pods') },
    { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: verbsOf('networkpolicies') },
    { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
    { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  ],
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
      'rules.3':
        'For the one condition NetworkUnavailable, which some clouds set on new Nodes and which keeps pods off them.',
    },
  },
  { object: binding },
];
