/** The demo's course, step by step. */
import { join } from 'node:path';
import { WG_LINK } from '../../constants.ts';
import { record } from '../../test/lab/capture.ts';
import { type Lab, type Member, startLab, untilInstalled, untilMeshed } from '../../test/lab/lab.ts';
import { addPod, deletePod, type Pod } from '../../test/lab/runtime.ts';
import { UNDERLAY } from '../../test/lab/underlay.ts';
import { until } from '../../test/lab/wait.ts';
import { hints } from './print.ts';
import type { DemoReport, JoinTimes, PeerLine, PingLine, PodLine, WireProof } from './report.ts';

export type DemoOptions = {
  readonly nodes: number;
  readonly keep: boolean;
  readonly say: (line: string) => void;
  /** Called once, before the wait of `keep`. */
  readonly show: (report: DemoReport) => void;
};

type Placed = { readonly member: Member; readonly pod: Pod };

/** Pings carry these bytes again and again. */
const MARK = 'weft-demo-clear!';
const PATTERN = Buffer.from(MARK).toString('hex');

const rttOf = (output: string): number | undefined => {
  const time = /time=([\d.]+) ms/.exec(output)?.[1];
  return time === undefined ? undefined : Number(time);
};

async function pingOnce(pod: Pod, address: string, waitSeconds = 2): Promise<number | undefined> {
  const argv = ['ping', '-n', '-c', '1', '-W', String(waitSeconds), '-s', '64', '-p', PATTERN, address];
  return pod.namespace.run(argv).then(rttOf, () => undefined);
}

async function pingAll(placed: readonly Placed[]): Promise<readonly PingLine[]> {
  const lines: PingLine[] = [];
  for (const from of placed)
    await Promise.all(
      placed.map(async to => {
        for (const family of [4, 6] as const) {
          const address = (family === 4 ? to.pod.v4 : to.pod.v6) ?? '';
          const rttMs = await pingOnce(from.pod, address);
          lines.push({ from: from.pod.name, to: to.pod.name, family, address, rttMs });
        }
      }),
    );
  return lines;
}

const podOf = (member: Member, n: number): Promise<Placed> =>
  addPod(member, `pod${member.number}${'abcdef'[n]}`).then(pod => ({ member, pod }));

/** From the Node's appearance to the first packet of a pod of each other node. */
async function joinAndTime(
  lab: Lab,
  number: number,
  others: readonly Placed[],
): Promise<{ times: JoinTimes; placed: Placed }> {
  const began = performance.now();
  const since = (): number => Math.round(performance.now() - began);
  const member = await lab.join(number);
  await untilInstalled(member);
  const installedMs = since();
  const placed = await podOf(member, 0);
  const podReadyMs = since();
  const first = await Promise.all(
    others.map(async other => {
      const from = other.member.name;
      await until(
        `a packet from ${from} to ${member.name}`,
        () => pingOnce(other.pod, placed.pod.v4 ?? '', 0.2),
        20_000,
        10,
      );
      return [from, since()] as const;
    }),
  );
  const times = {
    node: member.name,
    installedMs,
    podReadyMs,
    firstPacketMs: Object.fromEntries(first),
    allMs: Math.max(...first.map(([, ms]) => ms)),
  };
  return { times, placed };
}

async function peersOf(members: readonly Member[]): Promise<readonly PeerLine[]> {
  const all = await Promise.all(members.map(async member => ({ member, status: await member.status() })));
  return all.flatMap(({ member, status }) =>
    (status?.peers ?? []).map(peer => ({
      node: member.name,
      peer: peer.node,
      state: peer.state,
      endpoint: peer.endpoint,
      handshakeAgeMs: peer.handshakeAgeMs,
      rttMs: peer.rttMs,
      rxBytes: peer.rxBytes,
      txBytes: peer.txBytes,
    })),
  );
}

/** Runs `work` while the underlay, and one tunnel from within, are recorded. */
async function onTheWire<T>(
  lab: Lab,
  watched: Member,
  work: () => Promise<T>,
): Promise<{ wire: WireProof; result: T }> {
  const enter = ['nsenter', '--target', String(watched.namespace.pid), '--net', '--'];
  const outer = await record(UNDERLAY, join(lab.dir, 'underlay.pcap'));
  const inner = await record(WG_LINK, join(lab.dir, 'tunnel.pcap'), enter);
  const result = await work();
  const [outside, tunnel] = [await outer.stop(), await inner.stop()];
  const mark = Buffer.from(MARK);
  const wire = {
    wireguardPackets: await outside.count('udp port 51820'),
    podAddressPackets: await outside.count('net 10.42.0.0/16 or net fd42::/48'),
    payloadOnUnderlay: outside.holds(mark),
    payloadInTunnel: tunnel.holds(mark),
  };
  return { wire, result };
}

const podLine = ({ member, pod }: Placed): PodLine => ({
  name: pod.name,
  node: member.name,
  v4: pod.v4 ?? '',
  v6: pod.v6 ?? '',
  addMs: Math.round(pod.addMs * 10) / 10,
});

function failuresOf(
  pings: readonly PingLine[],
  wire: WireProof,
  peers: readonly PeerLine[],
): readonly string[] {
  return [
    ...pings.filter(p => p.rttMs === undefined).map(p => `no answer: ${p.from} → ${p.to} (${p.address})`),
    ...peers.filter(p => p.state !== 'established').map(p => `${p.node} → ${p.peer} is ${p.state}`),
    ...(wire.wireguardPackets === 0 ? ['no WireGuard packet was seen on the underlay'] : []),
    ...(wire.podAddressPackets > 0
      ? [`${wire.podAddressPackets} packets with pod addresses were on the underlay`]
      : []),
    ...(wire.payloadOnUnderlay ? ['pod payload was in clear on the underlay'] : []),
    ...(wire.payloadInTunnel
      ? []
      : ['pod payload was not found inside the tunnel: the capture proves nothing']),
  ];
}

const interrupted = (): Promise<void> =>
  new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });

async function story(lab: Lab, { nodes, keep, say, show }: DemoOptions, began: number): Promise<DemoReport> {
  say(`Starting ${nodes - 1} nodes, each with its agent …`);
  const early = await Promise.all(Array.from({ length: nodes - 1 }, (_, n) => lab.join(n + 1)));
  await Promise.all(early.map(m => untilInstalled(m)));
  say('Making two pods on each, through the CNI binary …');
  const placed = (await Promise.all(early.flatMap(m => [podOf(m, 0), podOf(m, 1)]))) as Placed[];
  await untilMeshed(early);
  const firsts = early.map(m => placed.find(p => p.member === m) as Placed);

  say(`node${nodes} appears …`);
  const late = await joinAndTime(lab, nodes, firsts);
  const all = [...placed, late.placed, await podOf(late.placed.member, 1)];
  const members = lab.members();
  await untilMeshed(members);

  say(
    `Every pod pings every pod, v4 and v6 (${all.length * all.length * 2} pings), while the wire is recorded …`,
  );
  const { wire, result: pings } = await onTheWire(lab, members[0] as Member, () => pingAll(all));
  const peers = await peersOf(members);
  const failures = failuresOf(pings, wire, peers);
  const engine = (await members[0]?.status())?.engine.kind ?? 'none';
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  const report: DemoReport = {
    ok: failures.length === 0,
    engine,
    nodes: members.map(m => m.name),
    pods: all.map(podLine),
    peers,
    pings,
    wire,
    join: late.times,
    seconds,
    failures,
  };
  show(report);
  if (keep) {
    say(
      hints(
        members,
        all.map(p => p.pod),
      ),
    );
    await interrupted();
  }
  say('Deleting the pods …');
  for (const { member, pod } of all) await deletePod(member, pod);
  return report;
}

/** Ends everything it began, also when it fails. */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const began = performance.now();
  const lab = await startLab();
  const stop = (): void => void lab.end().finally(() => process.exit(130));
  if (!options.keep) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  try {
    return await story(lab, options, began);
  } finally {
    await lab.end();
  }
}
