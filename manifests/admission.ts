/** An agent may write its own annotations on its own Node and nothing else, whatever its role says. */
import type {
  V1ValidatingAdmissionPolicy,
  V1ValidatingAdmissionPolicyBinding,
  V1Validation,
} from '@kubernetes/client-node';
import { annotations } from '../discovery/annotations.ts';
import { ADMISSION_POLICY, AGENT, AGENT_USER, labels } from './names.ts';
import type { Manifest } from './yaml.ts';

/** Annotations that the agent writes. The others with our prefix are the user's, and an agent may not touch them. */
export const AGENT_ANNOTATIONS: readonly string[] = Object.values(annotations)
  .filter(annotation => annotation.writer === 'own agent')
  .map(annotation => annotation.name)
  .sort();

const CLAIM = 'authentication.kubernetes.io/node-name';

/** CEL: a field of metadata is as it was; absent and empty are the same. */
const unchanged = (field: string, empty: string): string =>
  `object.metadata.?${field}.orValue(${empty}) == oldObject.metadata.?${field}.orValue(${empty})`;

const FOREIGN_ANNOTATIONS_UNCHANGED = [
  'variables.after.all(k, k in variables.writable ||',
  '  (k in variables.before && variables.before[k] == variables.after[k])) &&',
  'variables.before.all(k, k in variables.writable || k in variables.after)',
].join('\n');

const REST_UNCHANGED = [
  'object.spec == oldObject.spec',
  unchanged('labels', '{}'),
  unchanged('finalizers', '[]'),
  unchanged('ownerReferences', '[]'),
].join(' &&\n');

const validations: V1Validation[] = [
  {
    expression: `request.userInfo.extra[?'${CLAIM}'].orValue([]) == [object.metadata.name]`,
    message: 'a weft agent may change only the Node that its pod runs on, with the token of that pod',
    reason: 'Forbidden',
  },
  {
    expression: FOREIGN_ANNOTATIONS_UNCHANGED,
    message: `a weft agent may change only the annotations ${AGENT_ANNOTATIONS.join(' and ')}`,
    reason: 'Forbidden',
  },
  {
    expression: REST_UNCHANGED,
    message: 'a weft agent may change nothing of a Node but its annotations',
    reason: 'Forbidden',
  },
];

const policy: V1ValidatingAdmissionPolicy = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name: ADMISSION_POLICY, labels: labels(AGENT) },
  spec: {
    failurePolicy: 'Fail',
    matchConstraints: {
      // Scope is the server's default; said here so that to apply the file again changes nothing.
      resourceRules: [
        { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['nodes'], scope: '*' },
      ],
    },
    matchConditions: [{ name: 'weft-agent', expression: `request.userInfo.username == '${AGENT_USER}'` }],
    variables: [
      { name: 'before', expression: 'oldObject.metadata.?annotations.orValue({})' },
      { name: 'after', expression: 'object.metadata.?annotations.orValue({})' },
      {
        name: 'writable',
        expression: JSON.stringify(AGENT_ANNOTATIONS).replaceAll('"', "'").replaceAll(',', ', '),
      },
    ],
    validations,
  },
};

const binding: V1ValidatingAdmissionPolicyBinding = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name: ADMISSION_POLICY, labels: labels(AGENT) },
  spec: { policyName: ADMISSION_POLICY, validationActions: ['Deny'] },
};

export const admission: readonly Manifest[] = [
  {
    object: policy,
    comments: {
      '': 'Without this policy any node’s token could rewrite any node’s key. Tokens carry the name of their node\nfrom Kubernetes 1.30 on.',
    },
  },
  { object: binding },
];
