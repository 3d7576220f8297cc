/** An agent may write its own annotations on its own Node and nothing else, whatever its role says. */
import type {
  V1ValidatingAdmissionPolicy,
  V1ValidatingAdmissionPolicyBinding,
  V1Validation,
} from '@kubernetes/client-node';
import { annotations } from '../discovery/annotations.ts';
import { ADMISSION_POLICY, AGENT, AGENT_USER, labels, STATUS_POLICY } from './names.ts';
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

const OWN_NODE: V1Validation = {
  expression: `request.userInfo.extra[?'${CLAIM}'].orValue([]) == [object.metadata.name]`,
  message: 'a weft agent may change only the Node that its pod runs on, with the token of that pod',
  reason: 'Forbidden',
};

const validations: V1Validation[] = [
  OWN_NODE,
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

// Scope is the server's default; said here so that to apply the file again changes nothing.
const updatesOf = (resource: string) => ({
  resourceRules: [
    { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: [resource], scope: '*' },
  ],
});

const ONLY_AGENT = { name: 'weft-agent', expression: `request.userInfo.username == '${AGENT_USER}'` };

const policy: V1ValidatingAdmissionPolicy = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name: ADMISSION_POLICY, labels: labels(AGENT) },
  spec: {
    failurePolicy: 'Fail',
    matchConstraints: updatesOf('nodes'),
    matchConditions: [ONLY_AGENT],
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

/** Conditions but ours. */
const otherConditions = (object: string): string =>
  `${object}.status.?conditions.orValue([]).filter(c, c.type != 'NetworkUnavailable')`;

/** Fields of a Node's status, all but its conditions. What is younger than this list is left to the kubelet's honesty. */
const STATUS_FIELDS: readonly (readonly [string, string])[] = [
  ['addresses', '[]'],
  ['allocatable', '{}'],
  ['capacity', '{}'],
  ['config', '{}'],
  ['daemonEndpoints', '{}'],
  ['declaredFeatures', '[]'],
  ['features', '{}'],
  ['images', '[]'],
  ['nodeInfo', '{}'],
  ['phase', "''"],
  ['runtimeHandlers', '[]'],
  ['volumesAttached', '[]'],
  ['volumesInUse', '[]'],
];

const statusUnchanged = ([field, empty]: readonly [string, string]): string =>
  `object.status.?${field}.orValue(${empty}) == oldObject.status.?${field}.orValue(${empty})`;

const OF_OLD = "oldObject.status.?conditions.orValue([]).exists(c, c.type == 'NetworkUnavailable')";

const statusValidations: V1Validation[] = [
  OWN_NODE,
  {
    expression: [unchanged('annotations', '{}'), REST_UNCHANGED].join(' &&\n'),
    message: 'a weft agent may change nothing of a Node by way of its status but one condition',
    reason: 'Forbidden',
  },
  {
    expression: [
      `${otherConditions('object')} == ${otherConditions('oldObject')}`,
      ...STATUS_FIELDS.map(statusUnchanged),
    ].join(' &&\n'),
    message: 'a weft agent may change nothing of a Node’s status but the condition NetworkUnavailable',
    reason: 'Forbidden',
  },
  {
    expression: [
      `${OF_OLD} && object.status.conditions.exists_one(c, c.type == 'NetworkUnavailable'`,
      "  && c.status == 'False')",
    ].join('\n'),
    message: 'a weft agent may only clear the condition NetworkUnavailable where somebody has set it',
    reason: 'Forbidden',
  },
];

const statusPolicy: V1ValidatingAdmissionPolicy = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name: STATUS_POLICY, labels: labels(AGENT) },
  spec: {
    failurePolicy: 'Fail',
    matchConstraints: updatesOf('nodes/status'),
    matchConditions: [ONLY_AGENT],
    validations: statusValidations,
  },
};

const binding = (name: string): V1ValidatingAdmissionPolicyBinding => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name, labels: labels(AGENT) },
  spec: { policyName: name, validationActions: ['Deny'] },
});

export const admission: readonly Manifest[] = [
  {
    object: policy,
    comments: {
      '': 'Without this policy any node’s token could rewrite any node’s key. Tokens carry the name of their node\nfrom Kubernetes 1.30 on.',
    },
  },
  { object: binding(ADMISSION_POLICY) },
  {
    object: statusPolicy,
    comments: { '': 'Of its Node’s status an agent may clear one condition and change nothing else.' },
  },
  { object: binding(STATUS_POLICY) },
];
