import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { isBuilt } from './build.ts';
import type { TargetName } from './versions.ts';

/** Debian packages that the cluster needs, beside Go 1.26 or later. */
export const aptPackages = [
  'bash',
  'busybox-static',
  'conntrack',
  'curl',
  'gcc',
  'iproute2',
  'iptables',
  'iputils-ping',
  'libc6-dev',
  'netcat-openbsd',
  'nftables',
  'openssl',
  'runc',
  'util-linux',
] as const;

/** What every cluster is made of. CoreDNS is built only when asked for. */
export const CLUSTER_TARGETS = [
  'kubernetes',
  'containerd',
  'cniPlugins',
  'agnhost',
] as const satisfies TargetName[];

const GO_NEEDED = [1, 26] as const;

const COMMANDS = [
  'busybox',
  'conntrack',
  'gcc',
  'ip',
  'nc',
  'nft',
  'iptables',
  'nsenter',
  'openssl',
  'runc',
  'tar',
  'unshare',
];

/** Root's directories too: an ordinary PATH on Debian lacks them. */
const searchPath = (): readonly string[] => [
  ...(process.env.PATH ?? '').split(delimiter),
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
];

const onPath = (command: string): boolean =>
  searchPath().some(folder => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

const goTooOld = (): string | undefined => {
  if (!onPath('go')) return 'Go is not installed and the cluster is not in the cache';
  const version = execFileSync('go', ['env', 'GOVERSION'], { encoding: 'utf8', timeout: 20_000 }).trim();
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
  const old =
    Number(major) < GO_NEEDED[0] || (Number(major) === GO_NEEDED[0] && Number(minor) < GO_NEEDED[1]);
  return old ? `${version} is installed; Kubernetes needs Go ${GO_NEEDED.join('.')} or later` : undefined;
};

/** Why this machine cannot run the cluster, as a sentence; undefined when it can. Builds nothing. */
export const clusterUnavailable = (targets: readonly TargetName[] = CLUSTER_TARGETS): string | undefined => {
  if (process.platform !== 'linux') return 'the cluster needs Linux';
  if (process.getuid?.() !== 0) return 'the cluster needs root, for namespaces and mounts';
  if (!existsSync('/proc/self/ns/cgroup')) return 'the kernel has no cgroup namespaces';
  const missing = COMMANDS.filter(command => !onPath(command));
  if (missing.length > 0)
    return `programs are missing: ${missing.join(', ')} (Debian packages: ${aptPackages.join(' ')})`;
  return targets.every(isBuilt) ? undefined : goTooOld();
};
