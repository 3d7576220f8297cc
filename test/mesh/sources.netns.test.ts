/**
 * Which source address whom reaches: every row of the table in docs/design.md, with real packets of both families.
 * Services are made by a few rules as kube-proxy has them; the cluster tier has kube-proxy itself.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { type Lab, type Member, podCidrs, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { LAB } from '../lab/underlay.ts';
import { until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

/** Says to each who calls from which address the call came. */
const SERVER = `require('net').createServer(s => { s.on('error', () => {}); s.end(s.remoteAddress); }).listen(7, '::')`;

/** Families, and what of each has to be told apart. */
const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];

type Run = (argv: readonly string[]) => Promise<string>;

/** Somebody who calls and is called. */
type End = { readonly name: string; readonly run: Run; readonly ip: (family: Family) => string };

let lab: Lab;
let a: Member;
let b: Member;
let pod: End;
let near: End;
let far: End;
const servers: ChildProcess[] = [];

const outside: End = { name: 'outside', run: here, ip: family => (family === 4 ? LAB.v4 : LAB.v6) };

const podEnd = (name: string, { namespace, v4, v6 }: Pod): End => ({
  name,
  run: namespace.run,
  ip: family => (family === 4 ? v4 : v6) ?? '',
});

const nodeEnd = (m: Member): End => ({
  name: m.name,
  run: m.namespace.run,
  ip: family => (family === 4 ? m.address.v4 : m.address.v6),
});

const gateway = (m: Member, family: Family): string =>
  family === 4 ? `10.42.${m.number}.1` : `fd42:0:0:${m.number}::1`;

/** The address that the called end saw, or `nothing` where the call did not come through. */
async function seen(from: End, host: string, port = 7): Promise<string> {
  const script = 'exec 3<>/dev/tcp/$0/$1 && cat <&3';
  const said = await from
    .run(['timeout', '1', 'bash', '--norc', '-c', script, host, String(port)])
    .catch(() => 'nothing');
  return said.replace(/^::ffff:/, '');
}

/**
 * Ports of node1, as kube-proxy makes a NodePort: 31080 by policy Cluster, which masquerades, 31081 by Local. And
 * the Service 10.43.0.1, fd43::1, for pods and for the node itself. The targets are far, for Local near.
 */
const services = (): string =>
  FAMILIES.map(family => {
    const word = family === 4 ? 'ip' : 'ip6';
    const to = (end: End): string => (family === 4 ? `${end.ip(4)}:7` : `[${end.ip(6)}]:7`);
    const service = `${word} daddr ${family === 4 ? '10.43.0.1' : 'fd43::1'} tcp dport 80 dnat to ${to(far)}`;
    return `table ${word} services {
      chain pre { type nat hook prerouting priority -100;
        ${service}
        tcp dport 31080 meta mark set 0x4000 dnat to ${to(far)}
        tcp dport 31081 dnat to ${to(near)}
      }
      chain out { type nat hook output priority -100;
        ${service}
      }
      chain post { type nat hook postrouting priority 100;
        meta mark 0x4000 masquerade
      }
    }`;
  }).join('\n');

before(async () => {
  lab = await startLab();
  [a, b] = await Promise.all([lab.join(1), lab.join(2)]);
  await Promise.all([untilInstalled(a), untilInstalled(b)]);
  const pods = await Promise.all([addPod(a, 'pod'), addPod(a, 'near'), addPod(b, 'far')]);
  [pod, near, far] = pods.map((one, n) => podEnd(['pod', 'near', 'far'][n] ?? '', one)) as [End, End, End];
  const argv = [process.execPath, '-e', SERVER] as const;
  for (const { namespace } of [...pods, a, b]) servers.push(namespace.start(argv));
  servers.push(spawn(argv[0], argv.slice(1), { stdio: 'ignore' }));
  for (const { run } of [pod, near, far, nodeEnd(a), nodeEnd(b), outside])
    await until('a server', async () => (await run(['ss', '-Hltn', 'sport = :7'])) || undefined);
  await a.namespace.run(['nft', '-f', '-'], { stdin: services() });
  await untilMeshed([a, b]);
});

after(async () => {
  for (const server of servers) server.kill();
  await lab?.end();
});

type Row = {
  readonly what: string;
  readonly from: () => End;
  readonly to: (family: Family) => string;
  readonly port?: number;
  readonly source: (family: Family) => string;
};

const ROWS: readonly Row[] = [
  { what: 'pod → pod of the same node', from: () => pod, to: f => near.ip(f), source: f => pod.ip(f) },
  { what: 'pod → pod of another node', from: () => pod, to: f => far.ip(f), source: f => pod.ip(f) },
  {
    what: 'pod → Service → pod of another node',
    from: () => pod,
    to: f => (f === 4 ? '10.43.0.1' : 'fd43::1'),
    port: 80,
    source: f => pod.ip(f),
  },
  { what: 'node → its own pod', from: () => nodeEnd(a), to: f => pod.ip(f), source: f => gateway(a, f) },
  {
    what: 'node → pod of another node',
    from: () => nodeEnd(a),
    to: f => far.ip(f),
    source: f => gateway(a, f),
  },
  {
    what: 'node → Service → pod of another node',
    from: () => nodeEnd(a),
    to: f => (f === 4 ? '10.43.0.1' : 'fd43::1'),
    port: 80,
    source: f => gateway(a, f),
  },
  { what: 'pod → its own node', from: () => pod, to: f => nodeEnd(a).ip(f), source: f => pod.ip(f) },
  { what: 'pod → its gateway address', from: () => pod, to: f => gateway(a, f), source: f => pod.ip(f) },
  {
    what: 'pod → gateway address of another node',
    from: () => pod,
    to: f => gateway(b, f),
    source: f => pod.ip(f),
  },
  {
    what: 'pod → address of another node',
    from: () => pod,
    to: f => nodeEnd(b).ip(f),
    source: f => nodeEnd(a).ip(f),
  },
  {
    what: 'node → gateway address of another node',
    from: () => nodeEnd(a),
    to: f => gateway(b, f),
    source: f => gateway(a, f),
  },
  {
    what: 'outside → NodePort, policy Cluster → pod of another node',
    from: () => outside,
    to: f => nodeEnd(a).ip(f),
    port: 31080,
    source: f => gateway(a, f),
  },
  {
    what: 'outside → NodePort, policy Local → pod of this node',
    from: () => outside,
    to: f => nodeEnd(a).ip(f),
    port: 31081,
    source: f => outside.ip(f),
  },
  { what: 'pod → outside', from: () => pod, to: f => outside.ip(f), source: f => nodeEnd(a).ip(f) },
  { what: 'outside → pod, directly', from: () => outside, to: f => pod.ip(f), source: () => 'nothing' },
];

/** As a LAN that has routes to pods. */
const routes = (verb: 'replace' | 'del'): Promise<string> =>
  here([
    'sh',
    '-ec',
    podCidrs(1)
      .map((cidr, n) => `ip ${n ? '-6 ' : ''}route ${verb} ${cidr} via ${n ? a.address.v6 : a.address.v4}`)
      .join('; '),
  ]);

for (const { what, from, to, port, source } of ROWS)
  test(what, async () => {
    if (what.startsWith('outside → pod')) await routes('replace');
    for (const family of FAMILIES)
      assert.equal(await seen(from(), to(family), port), source(family), `IPv${family}`);
  });

const restart = async (settings: Readonly<Record<string, unknown>>): Promise<void> => {
  await a.stop();
  a.start(settings);
};

const untilSeen = (from: End, host: string, source: string): Promise<true> =>
  until(`${from.name} to be seen as ${source}`, async () => (await seen(from, host)) === source || undefined);

test('pod → outside with masquerade off: the pod’s', async () => {
  await restart({ masquerade: false });
  for (const family of FAMILIES) await untilSeen(pod, outside.ip(family), pod.ip(family));
});

test('pod → outside, an unmasked destination: the pod’s; another one: the node’s', async () => {
  await restart({ unmasked: [`${LAB.v4}/32`, `${LAB.v6}/128`] });
  for (const family of FAMILIES) {
    await untilSeen(pod, outside.ip(family), pod.ip(family));
    await untilSeen(pod, nodeEnd(b).ip(family), nodeEnd(a).ip(family));
  }
});

test('outside → pod by one of directLinks: with its own address', async () => {
  await restart({ directLinks: ['eth0'] });
  for (const family of FAMILIES) {
    await untilSeen(outside, pod.ip(family), outside.ip(family));
    await untilSeen(pod, nodeEnd(b).ip(family), nodeEnd(a).ip(family));
  }
  await restart({});
  for (const family of FAMILIES) await untilSeen(outside, pod.ip(family), 'nothing');
});

test('pod → another node’s own address: the node’s, on a LAN that is unmasked and a direct link too', async () => {
  await restart({ directLinks: ['eth0'], unmasked: ['192.0.2.0/24', '2001:db8::/64'] });
  for (const family of FAMILIES) {
    await untilSeen(pod, outside.ip(family), pod.ip(family));
    await untilSeen(pod, nodeEnd(b).ip(family), nodeEnd(a).ip(family));
  }
});
