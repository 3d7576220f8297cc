/** Underlays of every size, changes under living connections, and routers that drop what is large without a word. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ether, ipv6 } from '../cni/frames.ts';
import { type Lab, type Member, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { UNDERLAY } from '../lab/underlay.ts';
import { until } from '../lab/wait.ts';
import { askedFor, packet, serve, transfer } from './sizes.ts';

await enterLab(import.meta.filename);

let lab: Lab;
let a: Member;
let b: Member;
let podA: Pod;
let podB: Pod;
const servers: ChildProcess[] = [];

before(async () => {
  lab = await startLab();
  [a, b] = await Promise.all([lab.join(1), lab.join(2)]);
  await Promise.all([untilInstalled(a), untilInstalled(b)]);
  [podA, podB] = await Promise.all([addPod(a, 'poda'), addPod(b, 'podb')]);
  for (const pod of [podA, podB]) {
    servers.push(await serve(pod));
  }
  await untilMeshed([a, b]);
});

after(async () => {
  for (const server of servers) server.kill();
  await lab?.end();
});

const setUnderlay = async (m: Member, mtu: number): Promise<void> => {
  // The bridge would follow its smallest port.
  await here(['ip', 'link', 'set', `node${m.number}`, 'mtu', String(mtu)]);
  await m.namespace.run(['ip', 'link', 'set', 'eth0', 'mtu', String(mtu)]);
};

const mtuOf = async (run: (argv: readonly string[]) => Promise<string>, link: string): Promise<number> =>
  Number(/mtu (\d+)/.exec(await run(['ip', 'link', 'show', link]))?.[1]);

const tunnelMtu = (m: Member, mtu: number): Promise<true> =>
  until(
    `the tunnel of ${m.name} at ${mtu}`,
    async () => (await mtuOf(m.namespace.run, 'weft-wg')) === mtu || undefined,
    5_000,
  );

type PeerMtu = { readonly mtu: number; readonly mtuLimit?: string };

const peerOf = async (m: Member): Promise<PeerMtu | undefined> =>
  (await m.status())?.peers[0] as unknown as PeerMtu | undefined;

const restart = async (m: Member): Promise<void> => {
  await m.stop();
  m.start();
};

test('an underlay that shrinks and grows is followed under living connections, and old pods stay as they are', async () => {
  const living = transfer(podA, podB.v4, 400_000, 4_000);
  const living6 = transfer(podB, podA.v6, 400_000, 4_000);
  await sleep(500);
  await setUnderlay(a, 1400);
  await tunnelMtu(a, 1320);
  assert.equal(await mtuOf(podA.namespace.run, 'eth0'), 1420);
  assert.equal(await mtuOf(a.namespace.run, podA.result.interfaces[0]?.name ?? ''), 1420);
  for (const ip of [podB.v4, podB.v6]) {
    assert.equal(await packet(podA, ip, 1320), 'ok');
    assert.equal(await packet(podA, ip, 1400), 'too large', 'the node tells the pod');
  }
  assert.equal(await mtuOf((await addPod(a, 'small')).namespace.run, 'eth0'), 1320);
  await setUnderlay(a, 1500);
  await tunnelMtu(a, 1420);
  assert.deepEqual([await living, await living6], ['400000', '400000']);
});

test('an underlay of 1280 carries the least that IPv6 needs', async () => {
  for (const m of [a, b]) await setUnderlay(m, 1280);
  for (const m of [a, b]) await tunnelMtu(m, 1280);
  for (const ip of [podB.v4, podB.v6]) {
    assert.equal(await packet(podA, ip, 1280), 'ok');
    assert.equal(await transfer(podA, ip, 500_000), '500000');
  }
  for (const m of [a, b]) await setUnderlay(m, 1500);
  for (const m of [a, b]) await tunnelMtu(m, 1420);
});

test('between an underlay of 9000 and one of 1500 the larger side finds out what the path carries', async () => {
  await setUnderlay(a, 9000);
  await tunnelMtu(a, 8920);
  const found = await until(
    'the path to be measured',
    async () => {
      const peer = await peerOf(a);
      return peer?.mtuLimit === 'black hole' && peer.mtu > 1280 ? peer : undefined;
    },
    60_000,
  );
  assert.ok(found.mtu >= 1412 && found.mtu <= 1440, `${found.mtu} of 1420 to 1440`);
  const jumbo = await addPod(a, 'jumbo');
  assert.equal(await mtuOf(jumbo.namespace.run, 'eth0'), 8920);
  for (const ip of [podB.v4, podB.v6]) {
    assert.equal(await packet(jumbo, ip, Math.min(found.mtu, 1420)), 'ok');
    assert.equal(await packet(jumbo, ip, 8920), 'too large');
    assert.equal(await transfer(jumbo, ip, 1_000_000), '1000000');
  }
  await setUnderlay(a, 1500);
  await tunnelMtu(a, 1420);
  await until('the limit to be gone', async () => (await peerOf(a))?.mtu === 1420 || undefined, 30_000);
});

test('what a pod of before asks for in its SYN is cut to what the path carries now, both ways', async () => {
  const [fromA, fromB] = [await addPod(a, 'before-a'), await addPod(b, 'before-b')];
  await setUnderlay(a, 1400);
  await tunnelMtu(a, 1320);
  for (const [from, to] of [
    [fromA, podB],
    [fromB, podA],
  ] as const) {
    assert.equal(await mtuOf(from.namespace.run, 'eth0'), 1420);
    for (const [ip, headers] of [
      [to.v4, 40],
      [to.v6, 60],
    ] as const) {
      const size = await askedFor(from, to, ip);
      // Less, down to what IPv6 needs, where a test of the path is under way.
      assert.ok(size <= 1320 - headers && size >= 1280 - headers, `${from.name} to ${ip}: ${size}`);
    }
  }
  await setUnderlay(a, 1500);
  await tunnelMtu(a, 1420);
  // It may have found that the path carried less.
  await restart(b);
  await until('the limit to be gone', async () => (await peerOf(b))?.mtu === 1420 || undefined, 20_000);
});

const HOLE = `table bridge hole {
  chain silent {
    type filter hook forward priority 0;
    meta length > 1400 drop
  }
}`;

test('a router that drops large packets without a word: found, lived with over a restart, and found to be gone', async () => {
  await here(['nft', '-f', '-'], { stdin: HOLE });
  // Those of before have been told a smaller size, and remember it.
  const [early, late] = [await addPod(a, 'early'), await addPod(a, 'late')];
  assert.equal(await packet(early, podB.v4, 1420), 'lost');
  // Who is in need of the path need not wait for the test of every minute.
  const stalled = [transfer(podA, podB.v4, 1_000_000), transfer(podB, podA.v6, 1_000_000)];
  const holes = await Promise.all(
    [a, b].map(m =>
      until(
        `${m.name} to find the black hole`,
        async () => {
          const peer = await peerOf(m);
          return peer?.mtuLimit === 'black hole' && peer.mtu > 1280 ? peer.mtu : undefined;
        },
        35_000,
      ),
    ),
  );
  assert.deepEqual(await Promise.all(stalled), ['1000000', '1000000']);
  for (const mtu of holes) assert.ok(mtu >= 1312 && mtu <= 1340, `${mtu} of 1320 to 1340`);
  assert.equal(await packet(early, podB.v4, 1420), 'too large');
  assert.equal(await packet(early, podB.v6, Math.min(...holes)), 'ok');
  for (const [from, to] of [
    [podA, podB],
    [podB, podA],
  ] as const)
    for (const ip of [to.v4, to.v6]) assert.equal(await transfer(from, ip, 1_000_000), '1000000');

  const route = () => a.namespace.run(['ip', 'route', 'show', '10.42.2.0/24']);
  await a.stop();
  a.start();
  await until('the new agent', async () => (await a.status())?.peers.length);
  assert.match(await route(), new RegExp(`mtu ${holes[0]}`), 'a new agent takes over what was found');
  await here(['nft', 'delete', 'table', 'bridge', 'hole']);
  await restart(a);
  await until('the limit to be gone', async () => (await peerOf(a))?.mtu === 1420 || undefined, 20_000);
  assert.doesNotMatch(await route(), /mtu/);
  assert.equal(await packet(late, podB.v4, 1420), 'ok');
});

test('a route of the underlay that says a smaller MTU, as after a router’s word, lowers its peer’s routes', async () => {
  const routes = (verb: string) =>
    `ip route ${verb} ${b.address.v4}/32 dev eth0 mtu 1400; ip -6 route ${verb} ${b.address.v6}/128 dev eth0 mtu 1400`;
  await a.namespace.run(['sh', '-ec', routes('add')]);
  await restart(a);
  await until('the limit', async () => {
    const peer = await peerOf(a);
    return (peer?.mtu === 1320 && peer.mtuLimit === 'underlay') || undefined;
  });
  const pod = await addPod(a, 'told');
  await until('the route', async () => (await packet(pod, podB.v4, 1400)) === 'too large' || undefined);
  await a.namespace.run(['sh', '-ec', routes('del')]);
  await restart(a);
  await until('the limit to be gone', async () => (await peerOf(a))?.mtu === 1420 || undefined);
});

test('errors of routers outside reach the pods that they are about', async () => {
  await here([
    'sh',
    '-ec',
    `
    ip link add far type bridge; ip link set far mtu 1300 up
    ip address add 198.51.100.1/24 dev far; ip -6 address add 2001:db8:1::1/64 dev far nodad
    ip route add 203.0.113.0/24 via 198.51.100.9; ip -6 route add 2001:db8:2::/64 via 2001:db8:1::9
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`,
  ]);
  for (const ip of ['203.0.113.7', '2001:db8:2::7'])
    assert.equal(await packet(podA, ip, 1400), 'too large', ip);
});

/** A router advertisement of `seconds`, as ICMPv6 with a checksum. */
function advertisement(mac: string, source: string, seconds: number): string {
  const body = Buffer.from([134, 0, 0, 0, 64, 0, seconds >> 8, seconds & 255, 0, 0, 0, 0, 0, 0, 0, 0]);
  const pseudo = ipv6(source, 'ff02::1', 0).subarray(8, 40);
  const words = Buffer.concat([pseudo, Buffer.from([0, 0, 0, body.length, 0, 0, 0, 58]), body]);
  let sum = 0;
  for (let at = 0; at < words.length; at += 2) sum += words.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  body.writeUInt16BE(~sum & 0xffff, 2);
  return ether('33:33:00:00:00:01', mac, 0x86dd, ipv6(source, 'ff02::1', 58, body));
}

test('the host keeps its default route of router advertisements while it forwards', async () => {
  await here(['gcc', '-O1', '-o', '/mnt/frame', `${import.meta.dirname}/../cni/frame.c`]);
  const sysctl = (key: string) =>
    a.namespace.run(['cat', `/proc/sys/net/ipv6/conf/${key}`]).then(text => text.trim());
  assert.deepEqual([await sysctl('all/forwarding'), await sysctl('eth0/accept_ra')], ['1', '2']);
  const mac = /link\/ether (\S+)/.exec(await here(['ip', 'link', 'show', UNDERLAY]))?.[1] ?? '';
  const send = () => here(['/mnt/frame', UNDERLAY, advertisement(mac, 'fe80::77', 2)]);
  const route = () => a.namespace.run(['ip', '-6', 'route', 'show', 'default', 'proto', 'ra']);
  await until(
    'the route',
    async () => {
      await send();
      return (await route()).includes('fe80::77') || undefined;
    },
    5_000,
    200,
  );
  for (let n = 0; n < 6; n += 1) {
    await sleep(500);
    await send();
    assert.match(await route(), /fe80::77/, `after ${n / 2} s`);
  }
});
