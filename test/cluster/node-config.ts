import { CLUSTER_DOMAIN, DNS_SERVICE_IP, POD_CIDRS } from './addresses.ts';
import { PAUSE_IMAGE } from './images.ts';

export type ProxyMode = 'nftables' | 'iptables';

export const CONTAINERD_SOCKET = '/run/containerd/containerd.sock';

/** Where a runtime finds plugins and their configuration. */
export type CniDirs = { readonly bin: string; readonly conf: string };

/** What containerd takes where it is told nothing. */
export const DEFAULT_CNI_DIRS: CniDirs = { bin: '/opt/cni/bin', conf: '/etc/cni/net.d' };

/** containerd's configuration, version 3. */
export const containerdConfig = ({ bin, conf }: CniDirs): string => `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "${CONTAINERD_SOCKET}"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE runc cannot lower oom_score_adj, and dies of it.
  restrict_oom_score_adj = true
  disable_apparmor = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["${bin}"]
  conf_dir = "${conf}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
`;

/** The kubelet's configuration file; JSON is YAML. `pki` is the folder of certificates. */
export const kubeletConfig = (pki: string): string =>
  JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${pki}/ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    failCgroupV1: false,
    failSwapOn: false,
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    clusterDNS: [DNS_SERVICE_IP],
    clusterDomain: CLUSTER_DOMAIN,
    resolvConf: '/etc/resolv.conf',
    // The machine's disk and memory are not the node's; a full laptop must not evict the tests.
    evictionHard: { 'memory.available': '20Mi', 'nodefs.available': '0%', 'imagefs.available': '0%' },
    imageGCHighThresholdPercent: 100,
  });

/** kube-proxy's configuration file. */
export const proxyConfig = (kubeconfig: string, node: string, mode: ProxyMode): string =>
  JSON.stringify({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig },
    hostnameOverride: node,
    clusterCIDR: POD_CIDRS.join(','),
    mode,
    // nf_conntrack_max may not be written outside of the first namespace; 0 leaves everything alone.
    conntrack: {
      maxPerCore: 0,
      min: 0,
      tcpEstablishedTimeout: '0s',
      tcpCloseWaitTimeout: '0s',
      udpTimeout: '0s',
      udpStreamTimeout: '0s',
    },
  });
