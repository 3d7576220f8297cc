/** The demo's report for people. Pure. */
import { join } from 'node:path';
import type { Member } from '../../test/lab/lab.ts';
import type { Pod } from '../../test/lab/runtime.ts';
import type { DemoReport, PingLine } from './report.ts';

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map(row => (row[column] ?? '').length))) ?? [];
  return rows
    .map(
      row =>
        `  ${row
          .map((cell, n) => cell.padEnd(widths[n] ?? 0))
          .join('  ')
          .trimEnd()}`,
    )
    .join('\n');
};

const ms = (value: number | undefined): string =>
  value === undefined ? '–' : `${value.toFixed(value < 10 ? 2 : 0)} ms`;

const peersTable = ({ peers }: DemoReport): string =>
  table([
    ['node', 'peer', 'state', 'endpoint', 'handshake', 'rtt', 'received', 'sent'],
    ...peers.map(p => [
      p.node,
      p.peer,
      p.state,
      p.endpoint ?? '–',
      p.handshakeAgeMs === undefined ? 'never' : `${(p.handshakeAgeMs / 1000).toFixed(1)} s ago`,
      ms(p.rttMs),
      `${p.rxBytes} B`,
      `${p.txBytes} B`,
    ]),
  ]);

const cell = (pings: readonly PingLine[], from: string, to: string): string => {
  const rtt = (family: 4 | 6) => {
    const ping = pings.find(p => p.from === from && p.to === to && p.family === family);
    return ping?.rttMs === undefined ? 'FAIL' : ping.rttMs.toFixed(2);
  };
  return `${rtt(4)}/${rtt(6)}`;
};

function pingTable({ pods, pings }: DemoReport): string {
  const names = pods.map(pod => pod.name);
  return table([
    ['from \\ to', ...names],
    ...names.map(from => [from, ...names.map(to => cell(pings, from, to))]),
  ]);
}

const podTable = ({ pods }: DemoReport): string =>
  table([
    ['pod', 'node', 'IPv4', 'IPv6', 'ADD'],
    ...pods.map(p => [p.name, p.node, p.v4, p.v6, ms(p.addMs)]),
  ]);

const wireText = ({ wire }: DemoReport): string =>
  [
    `  ${wire.wireguardPackets} packets on the underlay were WireGuard's`,
    `  ${wire.podAddressPackets} packets on the underlay had a pod's address in their headers`,
    `  the pods' payload was ${wire.payloadOnUnderlay ? 'FOUND' : 'not found'} on the underlay, and ${wire.payloadInTunnel ? 'found' : 'NOT FOUND'} inside the tunnel`,
  ].join('\n');

const joinText = ({ join }: DemoReport): string =>
  [
    `  after ${join.installedMs} ms its CNI configuration was there, after ${join.podReadyMs} ms its first pod`,
    ...Object.entries(join.firstPacketMs).map(
      ([node, at]) => `  after ${at} ms the first packet from a pod on ${node} had its answer`,
    ),
  ].join('\n');

export const printReport = (report: DemoReport): string =>
  [
    `\nPeers (engine: ${report.engine})`,
    peersTable(report),
    '\nPods',
    podTable(report),
    '\nPings, IPv4/IPv6, in ms',
    pingTable(report),
    '\nOn the wire',
    wireText(report),
    `\n${report.join.node} joined`,
    joinText(report),
    '',
    report.ok
      ? `All ${report.pings.length} pings answered, nothing in clear; ${report.seconds} s.\n`
      : `NOT as it should be:\n${report.failures.map(f => `  ${f}`).join('\n')}\n`,
  ].join('\n');

const PROGRAM = join(import.meta.dirname, '..', '..', 'main.ts');

/** What to try while it runs. */
export function hints(members: readonly Member[], pods: readonly Pod[]): string {
  const [first, last] = [members[0], members.at(-1)];
  const [pod, other] = [pods[0], pods.at(-1)];
  return [
    '\nIt runs until Ctrl-C. From another terminal on this machine:',
    `  the process ids below are those inside the demo; enter it first:  nsenter -t $(pgrep -nf 'examples/demo/main.ts') -a`,
    `  a node's shell       nsenter -t ${first?.namespace.pid} -n -m`,
    `  a pod pings a pod    nsenter -t ${pod?.namespace.pid} -n ping ${other?.v4}`,
    `  the wire             tcpdump -ni underlay`,
    `  an agent's log       tail -f ${first?.logFile}`,
    `  what weft says       nsenter -t ${last?.namespace.pid} -n -m ${process.execPath} ${PROGRAM} peers`,
    `                       … or status, doctor, ping, graph, help`,
    '',
  ].join('\n');
}
