/**
 * What of a Pod, a Namespace or a NetworkPolicy is kept: the few fields that the parsers of policies
 * read, in the API's own shape, so that the same parsers read it back from disk. Pure.
 */
import type { KubeObject } from './watchevent.ts';

type Json = Readonly<Record<string, unknown>>;

const record = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};

const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.map(record) : []);

/** Mirror of a static pod: the UID by which the kubelet calls it towards the runtime. */
const CONFIG_HASH = 'kubernetes.io/config.hash';

const metadataOf = ({ metadata }: KubeObject): Json => ({
  ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
  name: metadata.name,
  uid: metadata.uid,
  ...(metadata.labels !== undefined && { labels: metadata.labels }),
});

/** Containers of which a port has a name; `restartPolicy` tells a sidecar. */
const containersOf = (value: unknown): readonly Json[] =>
  list(value).flatMap(({ restartPolicy, ports }) => {
    const named = list(ports).filter(port => typeof port.name === 'string');
    if (named.length === 0) return [];
    const kept = named.map(({ name, protocol, containerPort }) => ({ name, protocol, containerPort }));
    return [{ ...(restartPolicy !== undefined && { restartPolicy }), ports: kept }];
  });

export function trimPod(pod: KubeObject): KubeObject {
  const { nodeName, hostNetwork, containers, initContainers } = record(pod.spec);
  const { phase, podIP, podIPs } = record(pod.status);
  const hash = record(pod.metadata.annotations)[CONFIG_HASH];
  const sidecars = containersOf(initContainers);
  return {
    metadata: { ...metadataOf(pod), ...(hash !== undefined && { annotations: { [CONFIG_HASH]: hash } }) },
    spec: {
      ...(nodeName !== undefined && { nodeName }),
      ...(hostNetwork === true && { hostNetwork }),
      containers: containersOf(containers),
      ...(sidecars.length > 0 && { initContainers: sidecars }),
    },
    status: {
      ...(phase !== undefined && { phase }),
      ...(podIP !== undefined && { podIP }),
      ...(podIPs !== undefined && { podIPs }),
    },
  };
}

export const trimNamespace = (namespace: KubeObject): KubeObject => ({ metadata: metadataOf(namespace) });

export const trimPolicy = (policy: KubeObject): KubeObject => {
  const { labels: _, ...metadata } = metadataOf(policy);
  return { metadata, spec: policy.spec ?? {} };
};

/** As CNI_ARGS calls the pod: its UID, and of a mirror that of the static pod. */
export function runtimeUidOf(pod: KubeObject): string {
  const hash = record(pod.metadata.annotations)[CONFIG_HASH];
  const { uid } = pod.metadata;
  if (typeof hash === 'string') return hash;
  return typeof uid === 'string' ? uid : '';
}
