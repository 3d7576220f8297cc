import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { POD_CIDRS } from './addresses.ts';
import { targetFolder } from './build.ts';
import { FLANNEL_CONF_DIR, K3S_CNI_DIRS } from './k3s.ts';
import type { Layout } from './layout.ts';
import { execInNode, startInNode } from './node.ts';

const USER = 'system:flannel';

/** What flannel's own manifest grants, to the user that flanneld is here. */
export const FLANNEL_RIGHTS = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'flannel' },
      rules: [
        { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'flannel' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'flannel' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: USER }],
    },
  ],
});

/** Pods' configuration as k3s writes it. */
const CONFLIST = JSON.stringify({
  name: 'cbr0',
  cniVersion: '1.0.0',
  plugins: [
    { type: 'flannel', delegate: { hairpinMode: true, forceAddress: true, isDefaultGateway: true } },
    { type: 'portmap', capabilities: { portMappings: true } },
    { type: 'bandwidth', capabilities: { bandwidth: true } },
  ],
});

const NET_CONF = JSON.stringify({
  Network: POD_CIDRS[0],
  EnableIPv4: true,
  IPv6Network: POD_CIDRS[1],
  EnableIPv6: true,
  Backend: { Type: 'vxlan' },
});

const PLUGIN = readFileSync(join(import.meta.dirname, 'flannel-plugin.sh'), 'utf8');

/** Starts flannel on a node as k3s does at each of its starts: configuration first, which is written anew where it is gone. */
export const startFlannel = async (at: Layout, node: string): Promise<void> => {
  const { bin, conf } = K3S_CNI_DIRS;
  const script = [
    `mkdir -p ${bin} ${conf} ${FLANNEL_CONF_DIR}`,
    `cp ${targetFolder('cniPlugins')}/* ${bin}/`,
    // From its standard input, since the node has a /tmp of its own.
    `cat > ${bin}/flannel`,
    `chmod 755 ${bin}/flannel`,
    `printf %s '${NET_CONF}' > ${FLANNEL_CONF_DIR}/net-conf.json`,
    `printf %s '${CONFLIST}' > ${conf}/10-flannel.conflist`,
  ].join('\n');
  const output = await execInNode(at, node, ['sh', '-euc', script], { input: PLUGIN });
  if (output.code !== 0) throw new Error(`${node}: ${output.stderr}`);
  const flags = [`--kubeconfig=${at.pki}/flannel.conf`, `--net-conf=${FLANNEL_CONF_DIR}/net-conf.json`];
  startInNode(at, node, ['flanneld', `--node=${node}`, ...flags]);
};
