/**
 * What of k3s a change of networks has to do with: a file of settings on the server, directories of its own while flannel
 * is on, and flannel itself. The server is node1; as in k3s, a node learns at its start what the server's file says.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Layout } from './layout.ts';
import { type CniDirs, DEFAULT_CNI_DIRS } from './node-config.ts';

const K3S = '/var/lib/rancher/k3s';

/** k3s gives them to containerd only while flannel is on. */
export const K3S_CNI_DIRS: CniDirs = { bin: `${K3S}/data/cni`, conf: `${K3S}/agent/etc/cni/net.d` };

export const FLANNEL_CONF_DIR = `${K3S}/agent/etc/flannel`;

const SETTINGS = 'rancher/k3s/config.yaml';

/** On the machine: what lies over node1's /etc. Read only, once the node runs. */
const serverFile = (at: Layout): string => join(at.data, 'node1/overlay/etc/upper', SETTINGS);

/** Makes the cluster one of k3s with its defaults; before its nodes are made. */
export const likeK3s = (at: Layout): void => {
  mkdirSync(dirname(serverFile(at)), { recursive: true });
  writeFileSync(serverFile(at), 'write-kubeconfig-mode: "0600"\n');
};

/** Whether nodes that start now start flannel. Never where `likeK3s` was not called. */
export const flannelOn = (at: Layout): boolean => {
  try {
    return !/^flannel-backend: *"?none"?$/m.test(readFileSync(serverFile(at), 'utf8'));
  } catch {
    return false;
  }
};

export const cniDirs = (at: Layout): CniDirs => (flannelOn(at) ? K3S_CNI_DIRS : DEFAULT_CNI_DIRS);
