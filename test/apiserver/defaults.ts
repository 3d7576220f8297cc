/** What the real server writes into new objects, as far as weft or its tests look at it. Pure. */
import { type Json, part } from './object.ts';
import type { Resource } from './resources.ts';

const NODE_INFO = Object.fromEntries(
  [
    'machineID',
    'systemUUID',
    'bootID',
    'kernelVersion',
    'osImage',
    'containerRuntimeVersion',
    'kubeletVersion',
    'kubeProxyVersion',
    'operatingSystem',
    'architecture',
  ].map(field => [field, '']),
);

/** Until its kubelet says otherwise; the node controller takes it away. */
const NOT_READY = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };

const node = (object: Json): Json => {
  const spec = part(object, 'spec');
  const status = part(object, 'status');
  const taints = Array.isArray(spec.taints) ? (spec.taints as unknown[]) : [];
  return {
    ...object,
    spec: { ...spec, taints: [...taints, NOT_READY] },
    status: {
      ...status,
      daemonEndpoints: status.daemonEndpoints ?? { kubeletEndpoint: { Port: 0 } },
      nodeInfo: { ...NODE_INFO, ...part(status, 'nodeInfo') },
    },
  };
};

const namespace = (object: Json): Json => {
  const metadata = part(object, 'metadata');
  const labels = { ...part(metadata, 'labels'), 'kubernetes.io/metadata.name': metadata.name };
  return {
    ...object,
    metadata: { ...metadata, labels },
    spec: { finalizers: ['kubernetes'], ...part(object, 'spec') },
    status: { phase: 'Active' },
  };
};

const pod = (object: Json): Json => ({
  ...object,
  spec: {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    serviceAccountName: 'default',
    securityContext: {},
    schedulerName: 'default-scheduler',
    enableServiceLinks: true,
    ...part(object, 'spec'),
  },
  status: { phase: 'Pending', qosClass: 'BestEffort', ...part(object, 'status') },
});

const networkPolicy = (object: Json): Json => {
  const spec = part(object, 'spec');
  const egress = Array.isArray(spec.egress) && spec.egress.length > 0;
  const policyTypes = spec.policyTypes ?? ['Ingress', ...(egress ? ['Egress'] : [])];
  return { ...object, spec: { podSelector: {}, ...spec, policyTypes } };
};

const event = (object: Json): Json => ({
  source: {},
  firstTimestamp: null,
  lastTimestamp: null,
  eventTime: null,
  reportingComponent: '',
  reportingInstance: '',
  ...object,
});

const BY_KIND: Readonly<Record<string, (object: Json) => Json>> = {
  Node: node,
  Namespace: namespace,
  Pod: pod,
  NetworkPolicy: networkPolicy,
  Event: event,
};

/** An object to be created, with what its author left out. */
export const withDefaults = (resource: Resource, object: Json): Json =>
  BY_KIND[resource.kind]?.(object) ?? object;
