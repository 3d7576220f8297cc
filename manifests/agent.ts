/** The DaemonSet of the agent. */
import type {
  V1Container,
  V1DaemonSet,
  V1PodSpec,
  V1Probe,
  V1SecurityContext,
} from '@kubernetes/client-node';
import { defaults } from '../config.ts';
import { AGENT, IMAGE, labels, NAMESPACE, selector } from './names.ts';
import { agentMounts, volumeComments } from './volumes.ts';
import type { Manifest } from './yaml.ts';

/** Everything that a pod of the network must have to run on each node, whatever the node's state. */
export const everyNode = {
  hostNetwork: true,
  priorityClassName: 'system-node-critical',
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ operator: 'Exists' }],
  enableServiceLinks: false,
  terminationGracePeriodSeconds: 10,
} satisfies Partial<V1PodSpec>;

type Timing = {
  readonly periodSeconds: number;
  readonly timeoutSeconds?: number;
  readonly failureThreshold: number;
};

const probe = (path: string, timing: Timing): V1Probe => {
  const { healthAddress: host, healthPort: port } = defaults();
  return { httpGet: { host, path, port }, ...timing };
};

/** NET_ADMIN and NET_RAW, and nothing else. */
export const agentRights: V1SecurityContext = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
  readOnlyRootFilesystem: true,
  runAsUser: 0,
  seLinuxOptions: { level: 's0', type: 'spc_t' },
  seccompProfile: { type: 'RuntimeDefault' },
};

const container: V1Container = {
  name: 'agent',
  image: IMAGE,
  imagePullPolicy: 'IfNotPresent',
  terminationMessagePolicy: 'FallbackToLogsOnError',
  args: ['agent'],
  env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
  resources: { requests: { cpu: '50m', memory: '100Mi' }, limits: { memory: '250Mi' } },
  startupProbe: probe('/healthz', { periodSeconds: 1, failureThreshold: 60 }),
  readinessProbe: probe('/readyz', { periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 3 }),
  livenessProbe: probe('/healthz', { periodSeconds: 20, timeoutSeconds: 5, failureThreshold: 3 }),
  securityContext: agentRights,
  volumeMounts: agentMounts.map(m => m.mount),
};

const daemonSet: V1DaemonSet = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: AGENT, namespace: NAMESPACE, labels: labels(AGENT) },
  spec: {
    selector: { matchLabels: selector(AGENT) },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
    template: {
      metadata: { labels: labels(AGENT) },
      spec: {
        serviceAccountName: AGENT,
        ...everyNode,
        dnsPolicy: 'Default',
        containers: [container],
        volumes: agentMounts.map(m => m.volume),
      },
    },
  },
};

const at = (path: string): string => `spec.template.spec.${path}`;

const comments = {
  'spec.updateStrategy':
    'Node by node. Pods’ traffic does not depend on the agent, and new pods wait up to 15 seconds for it:\nhave the image on the nodes first, and nobody notices.',
  [at('tolerations')]: 'A node is not ready before it has a network.',
  [at('dnsPolicy')]:
    'Names in force-endpoint annotations are the outside world’s, and cluster DNS needs this agent first.',
  [at('containers.0.image')]: 'How it gets to the nodes is in manifests/README.md.',
  [at('containers.0.terminationMessagePolicy')]:
    'Why it ended, in the pod’s status: kubectl describe and weft status from elsewhere show it.',
  [at('containers.0.resources')]:
    'For 1,000 nodes. No CPU limit: throttling would only make pods start late.',
  [at('containers.0.startupProbe')]: 'Address and port are the settings healthAddress and healthPort.',
  [at('containers.0.securityContext')]:
    'NET_ADMIN: links, routes, WireGuard, nftables. NET_RAW: probes. Not privileged. The SELinux type counts only\nwhere SELinux is enforced; there an ordinary container may not write to the host paths below.',
  ...volumeComments(agentMounts),
};

export const agent: readonly Manifest[] = [{ object: daemonSet, comments }];
