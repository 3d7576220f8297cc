import { type Ends, GATEWAY, UNDERLAY_PREFIX } from './addresses.ts';
import { type Layout, netnsName, netnsPath } from './layout.ts';
import { must, run } from './process.ts';

const UNDERLAY = 'underlay';
const BRIDGE = 'br0';

/** Nothing waits for duplicate address detection in a network that we alone fill. */
const QUIET = ['all', 'default']
  .map(link => `echo 0 > /proc/sys/net/ipv6/conf/${link}/accept_dad`)
  .join('; ');

/** Runs `script` in a network namespace, with the host's files. */
const inNetns = (at: Layout, role: string, script: string): Promise<string> =>
  must(['nsenter', `--net=${netnsPath(at, role)}`, 'sh', '-euc', script]);

/** argv that runs in the network namespace `role` and, but for that, on the host. */
export const enterNetns = (at: Layout, role: string, argv: readonly string[]): readonly string[] => [
  'nsenter',
  `--net=${netnsPath(at, role)}`,
  ...argv,
];

const addNetns = async (at: Layout, role: string): Promise<void> => {
  await must(['ip', 'netns', 'add', netnsName(at, role)]);

  await inNetns(at, role, `${QUIET}; ip link set lo up`);
};

/** The wire between all: a bridge in a namespace of its own, which is also the default gateway (and leads nowhere). */
export const makeUnderlay = async (at: Layout): Promise<void> => {
  await addNetns(at, UNDERLAY);
  await inNetns(
    at,
    UNDERLAY,
    `ip link add ${BRIDGE} type bridge
     ip addr add ${GATEWAY.ipv4}/${UNDERLAY_PREFIX.ipv4} dev ${BRIDGE}
     ip addr add ${GATEWAY.ipv6}/${UNDERLAY_PREFIX.ipv6} dev ${BRIDGE} nodad
     ip link set ${BRIDGE} up`,
  );
};

/** A namespace `role` with eth0 on the underlay; the underlay's end of the wire is called as the role. */
export const makeHost = async (at: Layout, role: string, ends: Ends): Promise<void> => {
  await addNetns(at, role);
  await inNetns(
    at,
    UNDERLAY,
    // The kernel takes the links of a namespace that is gone away later than the namespace.
    `ip link delete ${role} 2>/dev/null || :
     ip link add ${role} type veth peer name eth0 netns ${netnsName(at, role)}
     ip link set ${role} master ${BRIDGE} up`,
  );
  await inNetns(
    at,
    role,
    `ip addr add ${ends.ipv4}/${UNDERLAY_PREFIX.ipv4} dev eth0
     ip addr add ${ends.ipv6}/${UNDERLAY_PREFIX.ipv6} dev eth0 nodad
     ip link set eth0 up
     ip route add default via ${GATEWAY.ipv4}
     ip -6 route add default via ${GATEWAY.ipv6}`,
  );
};

/** Names (as `ip netns` has them) of the namespaces that the cluster left or has. */
export const ownNetns = async (at: Layout): Promise<readonly string[]> => {
  const listed = await must(['ip', 'netns', 'list']);
  const names = listed.split('\n').map(line => line.split(' ')[0] ?? '');
  return names.filter(name => name.startsWith(`${at.name}.`));
};

/** Ids of the processes in a namespace, as the host counts them. */
export const netnsPids = async (name: string): Promise<readonly number[]> => {
  const output = await run(['ip', 'netns', 'pids', name]);
  return output.stdout.split('\n').filter(Boolean).map(Number);
};

export const removeNetns = (name: string): Promise<string> => must(['ip', 'netns', 'del', name]);
