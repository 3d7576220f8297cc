/** The DaemonSet that takes everything of weft off the nodes. It runs once the agents are gone. */
import type { V1Container, V1DaemonSet } from '@kubernetes/client-node';
import { defaults } from '../config.ts';
import { agentRights, everyNode } from './agent.ts';
import { AGENT, IMAGE, labels, NAMESPACE, selector, UNINSTALL } from './names.ts';
import { config, iptablesLock, type Mount, sysctls, volumeComments } from './volumes.ts';
import type { Manifest } from './yaml.ts';

/** Where the host's folders are mounted: what is removed is in them, and a mount cannot be removed itself. */
const HOST = '/host';

const folder = (name: string, path: string, reason: string): Mount => ({
  volume: { name, hostPath: { path, type: 'Directory' } },
  mount: { name, mountPath: `${HOST}${path}` },
  reason,
});

const mounts: readonly Mount[] = [
  config,
  folder('run', '/run', 'Of it /run/weft goes, and the socket of wireguard-go.'),
  folder('state', '/var/lib', 'Of it /var/lib/weft goes, with the node’s key.'),
  folder('cni-bin', defaults().cniBinDir, 'Of it weft’s own binary goes.'),
  folder('cni-conf', defaults().cniConfDir, 'Of it weft’s own configuration goes.'),
  sysctls,
  iptablesLock,
];

const small = () => ({ requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '250Mi' } });

const work: V1Container = {
  name: 'uninstall',
  image: IMAGE,
  imagePullPolicy: 'IfNotPresent',
  args: ['uninstall', '--yes', `--host=${HOST}`],
  env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
  resources: small(),
  securityContext: agentRights,
  volumeMounts: mounts.map(m => m.mount),
};

const done: V1Container = {
  name: 'done',
  image: IMAGE,
  imagePullPolicy: 'IfNotPresent',
  command: ['/usr/bin/node', '-e', "process.on('SIGTERM', () => process.exit()); setInterval(() => {}, 1e9)"],
  resources: small(),
  securityContext: {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    readOnlyRootFilesystem: true,
    seccompProfile: { type: 'RuntimeDefault' },
  },
};

const daemonSet: V1DaemonSet = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: UNINSTALL, namespace: NAMESPACE, labels: labels(UNINSTALL) },
  spec: {
    selector: { matchLabels: selector(UNINSTALL) },
    template: {
      metadata: { labels: labels(UNINSTALL) },
      spec: {
        serviceAccountName: AGENT,
        ...everyNode,
        dnsPolicy: 'Default',
        initContainers: [work],
        containers: [done],
        volumes: mounts.map(m => m.volume),
      },
    },
  },
};

const at = (path: string): string => `spec.template.spec.${path}`;

const comments = {
  [at('serviceAccountName')]: 'The agent’s account may take its annotations off its own Node.',
  [at('initContainers')]:
    'Fails, and is tried again, while an agent runs on its node. When it has ended the node is done.',
  [at('containers')]: 'Waits to be deleted: a DaemonSet would run the work again and again.',
  ...volumeComments(mounts),
};

export const uninstall: readonly Manifest[] = [{ object: daemonSet, comments }];
