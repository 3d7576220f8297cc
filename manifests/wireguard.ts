/** wireguard-go in a DaemonSet of its own, for kernels without WireGuard. */
import type { V1Container, V1DaemonSet } from '@kubernetes/client-node';
import { WG_LINK } from '../constants.ts';
import { everyNode } from './agent.ts';
import { IMAGE, labels, NAMESPACE, selector, WIREGUARD } from './names.ts';
import { volumeComments, wireguardSockets } from './volumes.ts';
import type { Manifest } from './yaml.ts';

/** Program of the image that runs wireguard-go where it is needed and waits where it is not. */
export const WIREGUARD_PROGRAM = '/usr/bin/weft-wireguard';

const mounts = [wireguardSockets];

const container: V1Container = {
  name: 'wireguard',
  image: IMAGE,
  imagePullPolicy: 'IfNotPresent',
  terminationMessagePolicy: 'FallbackToLogsOnError',
  command: [WIREGUARD_PROGRAM, WG_LINK],
  env: [{ name: 'LOG_LEVEL', value: 'error' }],
  resources: { requests: { cpu: '50m', memory: '64Mi' } },
  securityContext: { privileged: true, readOnlyRootFilesystem: true, runAsUser: 0 },
  volumeMounts: mounts.map(m => m.mount),
};

const daemonSet: V1DaemonSet = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: WIREGUARD, namespace: NAMESPACE, labels: labels(WIREGUARD) },
  spec: {
    selector: { matchLabels: selector(WIREGUARD) },
    updateStrategy: { type: 'OnDelete' },
    template: {
      metadata: { labels: labels(WIREGUARD) },
      spec: {
        automountServiceAccountToken: false,
        ...everyNode,
        dnsPolicy: 'Default',
        containers: [container],
        volumes: mounts.map(m => m.volume),
      },
    },
  },
};

const at = (path: string): string => `spec.template.spec.${path}`;

const comments = {
  '': 'Userspace WireGuard. On a node whose kernel has WireGuard it waits and does nothing.',
  'spec.updateStrategy':
    'The tunnels of a node live in this process, so an upgrade must never restart it by itself. To take a new\nversion, delete the pods one by one; each node’s tunnels are gone for a second or two.',
  [at('containers.0.env')]:
    `On small nodes, a limit on memory at the price of speed (64 MiB halves it):\n- name: GOMEMLIMIT\n  value: 64MiB`,
  [at('containers.0.resources')]:
    'No memory limit: to be killed for want of memory would cut the node off. Buffers may take 300 MB under load.',
  [at('containers.0.securityContext')]: 'For /dev/net/tun, which no capability gives.',
  ...volumeComments(mounts),
};

export const wireguard: readonly Manifest[] = [{ object: daemonSet, comments }];
