/** Names that more than one object of the manifests speaks of. */
import { VERSION } from '../version.ts';

/**
 * A namespace of its own: whoever may make pods or tokens in a namespace can act as its accounts,
 * and kube-system is shared with every other add-on. It also goes with one command.
 */
export const NAMESPACE = 'weft';

/** ServiceAccount, ClusterRole and DaemonSet of the agent. */
export const AGENT = 'weft';

/** DaemonSet of wireguard-go. */
export const WIREGUARD = 'weft-wireguard';

/** DaemonSet that takes everything off the nodes. */
export const UNINSTALL = 'weft-uninstall';

export const CONFIG_MAP = 'weft-config';

/** Cluster-scoped, so it carries our name. */
export const ADMISSION_POLICY = 'weft-own-node';

/** The same for the Node's status. */
export const STATUS_POLICY = 'weft-own-node-status';

/** Name under which `npm run image` makes the image known to a container runtime. */
export const IMAGE = `weft.network/weft:${VERSION}`;

/** As the API server spells the agent's account. */
export const AGENT_USER = `system:serviceaccount:${NAMESPACE}:${AGENT}`;

/** Labels of one component: those that select its pods, and those that only tell. */
export const selector = (name: string): Record<string, string> => ({ 'app.kubernetes.io/name': name });

export const labels = (name: string): Record<string, string> => ({
  ...selector(name),
  'app.kubernetes.io/part-of': 'weft',
});
