/** The network beneath: a bridge in the lab's own namespace, one port a node, no NAT. */
import { here, type Namespace } from './namespace.ts';

export const UNDERLAY = 'underlay';

/** Address of the lab itself on the underlay, where the API server listens. */
export const LAB = { v4: '192.0.2.254', v6: '2001:db8::fe' } as const;

export type UnderlayAddress = { readonly v4: string; readonly v6: string };

export const nodeAddress = (number: number): UnderlayAddress => ({
  v4: `192.0.2.${number}`,
  v6: `2001:db8::${number.toString(16)}`,
});

const ip = (...args: string[]): Promise<string> => here(['ip', ...args]);

export async function makeUnderlay(mtu = 1500): Promise<void> {
  await ip(
    'link',
    'add',
    UNDERLAY,
    'mtu',
    String(mtu),
    'type',
    'bridge',
    'forward_delay',
    '0',
    'mcast_snooping',
    '0',
  );
  await ip('link', 'set', UNDERLAY, 'up');
  await ip('address', 'add', `${LAB.v4}/24`, 'dev', UNDERLAY);
  await ip('-6', 'address', 'add', `${LAB.v6}/64`, 'dev', UNDERLAY, 'nodad');
}

/** Plugs a host in as eth0, with a default route to the lab's address. */
export async function plug(host: Namespace, number: number, mtu = 1500): Promise<UnderlayAddress> {
  const { v4, v6 } = nodeAddress(number);
  const port = `node${number}`;
  const peer = ['peer', 'name', 'eth0', 'mtu', String(mtu), 'netns', String(host.pid)];
  await ip('link', 'add', port, 'mtu', String(mtu), 'type', 'veth', ...peer);
  await ip('link', 'set', port, 'master', UNDERLAY, 'up');
  await host.run([
    'sh',
    '-ec',
    [
      'ip link set eth0 up',
      `ip address add ${v4}/24 dev eth0`,
      `ip -6 address add ${v6}/64 dev eth0 nodad`,
      `ip route add default via ${LAB.v4}`,
      `ip -6 route add default via ${LAB.v6}`,
    ].join('\n'),
  ]);
  return { v4, v6 };
}
