/** A site of its own behind a router: a private network that other sites may use too, and the ways out of it. */
import { here, type Namespace, newHost } from './namespace.ts';
import type { Plug } from './node.ts';
import { LAB, UNDERLAY } from './underlay.ts';

export type SiteOptions = {
  /** Up to eight letters: part of link names. */
  readonly name: string;
  /** Address of the router on the underlay, which what leaves the site bears. */
  readonly public: string;
  /** First three parts of the private network: `10.0.0`. */
  readonly network: string;
  /** Addresses of the underlay that the router passes on, whole, to one host: host's private address → its own. */
  readonly oneToOne?: Readonly<Record<string, string>>;
};

export type Site = {
  readonly router: Namespace;
  /** The host's private address in this site. */
  readonly address: (number: number) => string;
  /** Plugs a host into the private network. */
  readonly plug: Plug;
  readonly end: () => Promise<void>;
};

const pairs = (options: SiteOptions): readonly (readonly [string, string])[] =>
  Object.entries(options.oneToOne ?? {});

/** What clouds call an elastic address, and the masquerade of every home router. */
const natRules = (options: SiteOptions): string =>
  [
    'table ip nat {',
    '  chain prerouting { type nat hook prerouting priority dstnat;',
    ...pairs(options).map(([inner, outer]) => `    iifname eth0 ip daddr ${outer} dnat to ${inner}`),
    '  }',
    '  chain postrouting { type nat hook postrouting priority srcnat;',
    ...pairs(options).map(([inner, outer]) => `    oifname eth0 ip saddr ${inner} snat to ${outer}`),
    `    oifname eth0 snat to ${options.public}`,
    '  }',
    '}',
    '',
  ].join('\n');

const script = (lines: readonly string[]): readonly string[] => ['sh', '-ec', lines.join('\n')];

/** Must run where the underlay is. */
export async function newSite(options: SiteOptions): Promise<Site> {
  const { name, network } = options;
  const router = await newHost();
  const wire = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', String(router.pid)];
  await here(['ip', 'link', 'add', `r-${name}`, ...wire]);
  await here(['ip', 'link', 'set', `r-${name}`, 'master', UNDERLAY, 'up']);
  const outer = [options.public, ...pairs(options).map(([, address]) => address)];
  await router.run(
    script([
      'sysctl -qw net.ipv4.ip_forward=1',
      'ip link set eth0 up',
      ...outer.map(address => `ip address add ${address}/24 dev eth0`),
      `ip route add default via ${LAB.v4}`,
      'ip link add lan type bridge forward_delay 0 mcast_snooping 0',
      'ip link set lan up',
      `ip address add ${network}.254/24 dev lan`,
    ]),
  );
  await router.run(['nft', '-f', '-'], { stdin: natRules(options) });
  const address = (number: number): string => `${network}.${number}`;
  const plug: Plug = async (host, number) => {
    const port = `n${number}`;
    const end = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', String(host.pid)];
    await router.run(['ip', 'link', 'add', port, ...end]);
    await router.run(['ip', 'link', 'set', port, 'master', 'lan', 'up']);
    const lines = ['ip link set eth0 up', `ip address add ${address(number)}/24 dev eth0`];
    await host.run(script([...lines, `ip route add default via ${network}.254`]));
    return { v4: address(number), v6: '' };
  };
  return { router, address, plug, end: router.end };
}
