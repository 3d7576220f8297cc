/** A pod with CAP_NET_RAW sends what it likes; the node lets through what is the pod's own. Frame by frame. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { BRIDGE_MAC } from '../../constants.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { type Added, addPod, CONFIG, callPod, inPod } from './bed.ts';
import { arp, ether, icmp6, ipv4, ipv6, options, routerAlert, udp6, vlan } from './frames.ts';
import { withoutStrangers } from './remains.ts';
import { useBed } from './usebed.ts';

await enterLab(import.meta.filename);

const SENDER = '/mnt/frame';
const [GW4 = '', GW6 = ''] = CONFIG.gateways as readonly string[];
const LL = 'fe80::aa';
const ALL_NODES = 'ff02::1';
const MULTICAST = '33:33:00:00:00:01';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** Behind our chain: counts what was let through. */
const PROBE = `table bridge probe {
  chain passed {
    type filter hook prerouting priority 0;
    iifname "wv*" counter
  }
}`;

let pod: Added;
let other: Added;

const bed = useBed({ each: false });

before(async () => {
  await here(['gcc', '-O1', '-o', SENDER, `${import.meta.dirname}/frame.c`]);
  pod = await addPod();
  other = await addPod();
  await here(['nft', '-f', '-'], { stdin: PROBE });
  // What a link sends by itself when it comes up must not be counted.
  for (const one of [pod, other])
    await inPod(one.netns, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6');
});

const packets = async (...list: readonly string[]): Promise<number> =>
  Number(/packets (\d+)/.exec(await here(['nft', 'list', ...list]))?.[1]);

const passed = (): Promise<number> => packets('chain', 'bridge', 'probe', 'passed');
const dropped = (): Promise<number> => packets('counter', 'bridge', 'weft', 'spoofed_dropped');

const macOf = (one: Added): string => one.result.interfaces?.find(i => i.name === 'eth0')?.mac ?? '';

/** How many of the frames came through, and how many were counted as dropped. */
async function send(...frames: readonly string[]): Promise<{ passed: number; dropped: number }> {
  const [p, d] = [await passed(), await dropped()];
  await inPod(pod.netns, SENDER, 'eth0', ...frames);
  return { passed: (await passed()) - p, dropped: (await dropped()) - d };
}

type Case = { readonly what: string; readonly frame: () => string };

const mac = (): string => macOf(pod);
const to = (type: number, ...payload: Buffer[]): string => ether(BRIDGE_MAC, mac(), type, ...payload);

const OWN: readonly Case[] = [
  { what: 'IPv4 from its address', frame: () => to(0x0800, ipv4(pod.v4, GW4)) },
  { what: 'IPv6 from its address', frame: () => to(0x86dd, udp6(pod.v6, GW6)) },
  {
    what: 'IPv6 with a header of options',
    frame: () => to(0x86dd, ipv6(pod.v6, GW6, 60, options(58), icmp6(128))),
  },
  { what: 'ARP for the gateway', frame: () => ether(BROADCAST, mac(), 0x0806, arp(1, mac(), pod.v4, GW4)) },
  { what: 'an ARP answer', frame: () => to(0x0806, arp(2, mac(), pod.v4, GW4)) },
  { what: 'gratuitous ARP', frame: () => ether(BROADCAST, mac(), 0x0806, arp(1, mac(), pod.v4, pod.v4)) },
  {
    what: 'DAD',
    frame: () => ether(MULTICAST, mac(), 0x86dd, ipv6('::', 'ff02::1:ff00:2', 58, icmp6(135, pod.v6))),
  },
  {
    what: 'solicitation from link-local',
    frame: () => ether(MULTICAST, mac(), 0x86dd, ipv6(LL, 'ff02::1:ff00:1', 58, icmp6(135, GW6))),
  },
  { what: 'advertisement from link-local', frame: () => to(0x86dd, ipv6(LL, GW6, 58, icmp6(136, LL))) },
  {
    what: 'advertisement from its address',
    frame: () => to(0x86dd, ipv6(pod.v6, GW6, 58, icmp6(136, pod.v6))),
  },
  {
    what: 'router solicitation',
    frame: () => ether(MULTICAST, mac(), 0x86dd, ipv6(LL, 'ff02::2', 58, icmp6(133))),
  },
  {
    what: 'MLDv2 from link-local',
    frame: () => ether(MULTICAST, mac(), 0x86dd, ipv6(LL, 'ff02::16', 0, routerAlert(58), icmp6(143))),
  },
  {
    what: 'MLDv2 from nowhere',
    frame: () => ether(MULTICAST, mac(), 0x86dd, ipv6('::', 'ff02::16', 0, routerAlert(58), icmp6(143))),
  },
];

const FOREIGN: readonly Case[] = [
  { what: 'IPv4 from another pod’s address', frame: () => to(0x0800, ipv4(other.v4, GW4)) },
  { what: 'IPv4 from the gateway’s address', frame: () => to(0x0800, ipv4(GW4, other.v4)) },
  { what: 'IPv4 from outside', frame: () => to(0x0800, ipv4('198.51.100.7', GW4)) },
  { what: 'IPv4 from 0.0.0.0', frame: () => to(0x0800, ipv4('0.0.0.0', '255.255.255.255')) },
  { what: 'IPv6 from another pod’s address', frame: () => to(0x86dd, udp6(other.v6, GW6)) },
  { what: 'IPv6 from the gateway’s address', frame: () => to(0x86dd, udp6(GW6, other.v6)) },
  { what: 'UDP from link-local', frame: () => to(0x86dd, udp6(LL, GW6)) },
  { what: 'echo from link-local', frame: () => to(0x86dd, ipv6(LL, GW6, 58, icmp6(128))) },
  { what: 'another pod’s MAC', frame: () => ether(BRIDGE_MAC, macOf(other), 0x0800, ipv4(pod.v4, GW4)) },
  {
    what: 'another pod’s MAC and address',
    frame: () => ether(BRIDGE_MAC, macOf(other), 0x0800, ipv4(other.v4, GW4)),
  },
  { what: 'the bridge’s MAC', frame: () => ether(macOf(other), BRIDGE_MAC, 0x0800, ipv4(pod.v4, GW4)) },
  {
    what: 'the bridge’s MAC and the gateway’s address',
    frame: () => ether(macOf(other), BRIDGE_MAC, 0x0800, ipv4(GW4, other.v4)),
  },
  {
    what: 'IPv6 with another pod’s MAC',
    frame: () => ether(BRIDGE_MAC, macOf(other), 0x86dd, udp6(pod.v6, GW6)),
  },
  {
    what: 'IPv6 with the bridge’s MAC',
    frame: () => ether(macOf(other), BRIDGE_MAC, 0x86dd, udp6(pod.v6, GW6)),
  },
  {
    what: 'the bridge’s MAC and the gateway’s IPv6 address',
    frame: () => ether(macOf(other), BRIDGE_MAC, 0x86dd, ipv6(GW6, other.v6, 58, icmp6(136, GW6))),
  },
  { what: 'IPv4 to the node’s loopback', frame: () => to(0x0800, ipv4(pod.v4, '127.0.0.1')) },
  { what: 'IPv6 to the node’s loopback', frame: () => to(0x86dd, udp6(pod.v6, '::1')) },
  { what: 'ARP that gives another pod’s address', frame: () => to(0x0806, arp(2, mac(), other.v4, GW4)) },
  {
    what: 'ARP that gives the gateway’s address',
    frame: () => ether(BROADCAST, mac(), 0x0806, arp(2, mac(), GW4, other.v4)),
  },
  {
    what: 'ARP with another MAC inside than outside',
    frame: () => to(0x0806, arp(2, macOf(other), pod.v4, GW4)),
  },
  { what: 'ARP that gives another pod’s pair', frame: () => to(0x0806, arp(2, macOf(other), other.v4, GW4)) },
  {
    what: 'a router advertisement',
    frame: () => ether(MULTICAST, mac(), 0x86dd, ipv6(LL, ALL_NODES, 58, icmp6(134))),
  },
  {
    what: 'a router advertisement from its own address',
    frame: () => ether(MULTICAST, mac(), 0x86dd, ipv6(pod.v6, ALL_NODES, 58, icmp6(134))),
  },
  {
    what: 'a router advertisement behind a header of options',
    frame: () => ether(MULTICAST, mac(), 0x86dd, ipv6(LL, ALL_NODES, 60, options(58), icmp6(134))),
  },
  { what: 'a redirect', frame: () => to(0x86dd, ipv6(LL, GW6, 58, icmp6(137))) },
  { what: 'a VLAN tag', frame: () => to(0x8100, vlan(0x0800, ipv4(pod.v4, GW4))) },
  { what: 'an address in a VLAN tag', frame: () => to(0x8100, vlan(0x0800, ipv4(other.v4, GW4))) },
  { what: 'LLDP', frame: () => to(0x88cc, Buffer.alloc(40)) },
  { what: 'a frame with a length for a type', frame: () => to(40, Buffer.alloc(40)) },
];

for (const { what, frame } of OWN)
  test(`a pod may send ${what}`, async () => {
    assert.deepEqual(await send(frame()), { passed: 1, dropped: 0 });
  });

for (const { what, frame } of FOREIGN)
  test(`a pod may not send ${what}`, async () => {
    assert.deepEqual(await send(frame()), { passed: 0, dropped: 1 });
  });

test('the permanent neighbour entries of the node stay what they are', async () => {
  const before = await here(['ip', 'neigh', 'show', 'nud', 'permanent']);
  await send(...FOREIGN.map(one => one.frame()));
  assert.equal(await here(['ip', 'neigh', 'show', 'nud', 'permanent']), before);
});

test('a pod that has used very many foreign MACs still gets nothing through', async () => {
  const advert = (from: string): string => ether(BRIDGE_MAC, from, 0x86dd, ipv6(LL, GW6, 58, icmp6(136, LL)));
  const foreign = Array.from(
    { length: 300 },
    (_, n) => `06:00:00:00:0${n >> 8}:${(n & 255).toString(16).padStart(2, '0')}`,
  );
  assert.deepEqual(await send(...foreign.map(advert)), { passed: 0, dropped: 300 });
  assert.deepEqual(await send(advert(macOf(other))), { passed: 0, dropped: 1 });
});

test('one setting switches it off, on again, and living pods are in the sets', async () => {
  bed.cni.configure({ ...CONFIG, antiSpoofing: false });
  assert.ok((await bed.cni.sweep()) > 0);
  const [own, foreign] = [OWN[0] as Case, FOREIGN[0] as Case];
  assert.deepEqual(await send(own.frame(), foreign.frame()), { passed: 2, dropped: 0 });
  bed.cni.configure(CONFIG);
  assert.ok((await bed.cni.sweep()) > 0);
  assert.deepEqual(await send(own.frame(), foreign.frame()), { passed: 1, dropped: 1 });
  assert.equal(await bed.cni.sweep(), 0);
});

test('a pod that is being removed can send nothing any more', async () => {
  const late = await addPod();
  assert.equal((await callPod('DEL', late)).code, 0);
  const text = withoutStrangers(await here(['nft', 'list', 'table', 'bridge', 'weft']));
  assert.equal(text.includes(late.link), false);
});
