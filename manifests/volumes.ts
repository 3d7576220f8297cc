/** What of the host the agent sees, each mount with its reason. */
import type { V1Volume, V1VolumeMount } from '@kubernetes/client-node';
import { defaults } from '../config.ts';
import { RUN_DIR, STATE_DIR } from '../constants.ts';
import { CONFIG_MAP } from './names.ts';

/** Sockets of wireguard-go, by which `wg` speaks to it; the path is fixed in both programs. */
const WIREGUARD_SOCKETS = '/var/run/wireguard';

/** The host's /proc/sys/net as the agent finds it: a container's own /proc/sys is read-only. */
const HOST_SYSCTLS = '/host/proc/sys/net';

export type Mount = {
  readonly volume: V1Volume;
  readonly mount: V1VolumeMount;
  /** Stands above the volume. */
  readonly reason: string;
};

const hostPath = (name: string, path: string, reason: string, mountPath = path): Mount => ({
  volume: { name, hostPath: { path, type: 'DirectoryOrCreate' } },
  mount: { name, mountPath },
  reason,
});

export const wireguardSockets = hostPath(
  'wireguard',
  WIREGUARD_SOCKETS,
  'wireguard-go’s sockets, where the kernel has no WireGuard.',
);

export const config: Mount = {
  volume: { name: 'config', configMap: { name: CONFIG_MAP } },
  mount: { name: 'config', mountPath: '/etc/weft', readOnly: true },
  reason: 'Settings.',
};

export const sysctls: Mount = {
  volume: { name: 'sysctls', hostPath: { path: '/proc/sys/net', type: 'Directory' } },
  mount: { name: 'sysctls', mountPath: HOST_SYSCTLS },
  reason: 'A container’s own /proc/sys is read-only, and nothing else of the host’s is needed.',
};

const machineId: Mount = {
  volume: { name: 'machine-id', hostPath: { path: '/etc/machine-id', type: 'FileOrCreate' } },
  mount: { name: 'machine-id', mountPath: '/etc/machine-id', readOnly: true },
  reason: 'Tells a cloned disk, which needs a key of its own. Some hosts have none; an empty one is as good.',
};

export const iptablesLock: Mount = {
  volume: { name: 'xtables-lock', hostPath: { path: '/run/xtables.lock', type: 'FileOrCreate' } },
  mount: { name: 'xtables-lock', mountPath: '/run/xtables.lock' },
  reason:
    'Where the host’s firewall is iptables-legacy: the lock that all who change it take, kube-proxy too.',
};

/** In the order in which they are printed. */
export const agentMounts: readonly Mount[] = [
  config,
  hostPath(
    'run',
    RUN_DIR,
    'Socket of the CNI binary, addresses of pods: gone after a reboot, as the pods are.',
  ),
  hostPath('state', STATE_DIR, 'Private key and last known peers.'),
  hostPath('cni-bin', defaults().cniBinDir, 'Where the container runtime looks for CNI binaries.'),
  hostPath('cni-conf', defaults().cniConfDir, 'Where the container runtime looks for CNI configurations.'),
  sysctls,
  machineId,
  iptablesLock,
  wireguardSockets,
];

/** Comments for the volumes, at their path in a DaemonSet. */
export const volumeComments = (mounts: readonly Mount[]): Record<string, string> =>
  Object.fromEntries(mounts.map((m, i) => [`spec.template.spec.volumes.${i}`, m.reason]));
