/** Two nodes with a pod each, beside the real programs that own a host's firewall or links, and who reaches whom. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Check, Diagnosis } from '../../doctor/types.ts';
import type { Finding } from '../../host/types.ts';
import { type Lab, type Member, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { here, type Namespace, newMounts } from '../lab/namespace.ts';
import { program } from '../lab/node.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { LAB } from '../lab/underlay.ts';
import { until } from '../lab/wait.ts';
import type { Unpacked } from './debian.ts';

export type Beside = {
  readonly lab: Lab;
  readonly a: Member;
  readonly b: Member;
  readonly podA: Pod;
  readonly podB: Pod;
  /** Where the programs of the package are at their usual places, in the network of `a`. */
  readonly host: Namespace;
  /** A daemon of the package there, which ends with all else. */
  readonly daemon: (argv: readonly string[]) => ChildProcess;
  readonly end: () => Promise<void>;
};

/** Says to each who calls from which address the call came. */
const SERVER = `require('net').createServer(s => { s.on('error', () => {}); s.end(s.remoteAddress); }).listen(7, '::')`;

/** As kube-proxy makes a NodePort of policy Cluster, to the pod of the other node. */
const nodePort = (far: Pod): string => `table ip services {
  chain pre { type nat hook prerouting priority -100;
    tcp dport 31080 meta mark set 0x4000 dnat to ${far.v4}:7
  }
  chain post { type nat hook postrouting priority 100;
    meta mark 0x4000 masquerade
  }
}
`;

/** `usr` and `etc` of the machine with those of the package above, and what is written there goes to memory. */
const layers = (dir: string, root: string): string =>
  [
    'mount --make-rprivate /',
    ...['usr', 'etc', 'var'].flatMap(part => {
      for (const kind of ['upper', 'scratch']) mkdirSync(join(dir, kind, part), { recursive: true });
      const lower = [...(root === '' ? [] : [join(root, part)]), `/${part}`]
        .filter(folder => existsSync(folder))
        .join(':');
      return `mount -t overlay overlay -o lowerdir=${lower},upperdir=${dir}/upper/${part},workdir=${dir}/scratch/${part} /${part}`;
    }),
    // Of this network. Read-only tells daemons that no udev is here.
    'mount -t sysfs -o ro sysfs /sys',
  ].join(' && ');

export async function startBeside({ root }: Unpacked): Promise<Beside> {
  const lab = await startLab();
  const [a, b] = await Promise.all([lab.join(1), lab.join(2)]);
  await Promise.all([untilInstalled(a), untilInstalled(b)]);
  const [podA, podB] = await Promise.all([addPod(a, 'poda'), addPod(b, 'podb')]);
  const host = await newMounts(a.namespace, layers(join(lab.dir, 'beside'), root));
  const children: ChildProcess[] = [spawn(process.execPath, ['-e', SERVER], { stdio: 'ignore' })];
  for (const { namespace } of [a, podA, podB])
    children.push(namespace.start([process.execPath, '-e', SERVER]));
  for (const { run } of [a.namespace, podA.namespace, podB.namespace, { run: here }])
    await until('a server', async () => (await run(['ss', '-Hltn', 'sport = :7'])) || undefined);
  await a.namespace.run(['nft', '-f', '-'], { stdin: nodePort(podB) });
  await untilMeshed([a, b]);
  const daemon = (argv: readonly string[]): ChildProcess => {
    const child = host.start(argv);
    children.push(child);
    return child;
  };
  const end = async (): Promise<void> => {
    for (const child of children) child.kill('SIGKILL');
    await lab.end();
  };
  return { lab, a, b, podA, podB, host, daemon, end };
}

/** One line for `sh`, as a person types it. */
export const typed = (on: Namespace, line: string): Promise<string> =>
  on.run(['sh', '-ec', line], { timeoutMs: 60_000 });

/** Why there can be no system bus: its user is made when its package is installed, so that unpacking it would not do. */
export const noBus = existsSync('/usr/bin/dbus-daemon') ? false : 'the Debian package dbus is not installed';

/**
 * A system bus for the daemons of `host`, which answers once this resolves. Without PolicyKit, which the machine may
 * have and which knows nothing of these programs: they then ask who is root.
 */
export async function startBus({ host, daemon }: Beside): Promise<void> {
  await typed(
    host,
    'mkdir -p /run/dbus; rm -f /usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service',
  );
  daemon(['dbus-daemon', '--system', '--nofork', '--nopidfile']);
  await until('the system bus', () =>
    typed(host, 'test -S /run/dbus/system_bus_socket').then(
      () => true as const,
      () => undefined,
    ),
  );
}

/** The address that the called end saw, or `nothing` where the call did not come through. */
async function seen(from: Pick<Namespace, 'run'>, address: string, port = 7): Promise<string> {
  const script = 'exec 3<>/dev/tcp/$0/$1 && cat <&3';
  const said = await from
    .run(['timeout', '1', 'bash', '--norc', '-c', script, address, String(port)])
    .catch(() => 'nothing');
  return said.replace(/^::ffff:/, '');
}

/** Who calls whom → the address that the called one saw. */
export type Reach = Readonly<Record<string, string>>;

export async function reach({ a, podA, podB }: Beside): Promise<Reach> {
  const calls: readonly (readonly [string, Promise<string>])[] = [
    ['pod → far pod', seen(podA.namespace, podB.v4 ?? '')],
    ['pod → far pod, v6', seen(podA.namespace, podB.v6 ?? '')],
    ['far pod → pod', seen(podB.namespace, podA.v4 ?? '')],
    ['far pod → pod, v6', seen(podB.namespace, podA.v6 ?? '')],
    ['node → pod', seen(a.namespace, podA.v4 ?? '')],
    ['node → far pod', seen(a.namespace, podB.v4 ?? '')],
    ['node → far pod, v6', seen(a.namespace, podB.v6 ?? '')],
    ['pod → node', seen(podA.namespace, a.address.v4)],
    ['far pod → node', seen(podB.namespace, a.address.v4)],
    ['pod → outside', seen(podA.namespace, LAB.v4)],
    ['pod → outside, v6', seen(podA.namespace, LAB.v6)],
    ['outside → NodePort → far pod', seen({ run: here }, a.address.v4, 31080)],
  ];
  return Object.fromEntries(
    await Promise.all(calls.map(async ([name, said]) => [name, await said] as const)),
  );
}

/** As docs/design.md has it. */
export const WHOLE: Reach = {
  'pod → far pod': '10.42.1.2',
  'pod → far pod, v6': 'fd42:0:0:1::2',
  'far pod → pod': '10.42.2.2',
  'far pod → pod, v6': 'fd42:0:0:2::2',
  'node → pod': '10.42.1.1',
  'node → far pod': '10.42.1.1',
  'node → far pod, v6': 'fd42:0:0:1::1',
  'pod → node': '10.42.1.2',
  'far pod → node': '192.0.2.2',
  'pod → outside': '192.0.2.1',
  'pod → outside, v6': '2001:db8::1',
  'outside → NodePort → far pod': '10.42.1.1',
};

/** Rejects with what is otherwise. */
export async function untilReach(beside: Beside, wanted: Reach, withinMs = 20_000): Promise<void> {
  let last: Reach = {};
  await until(
    'calls to come through',
    async () => {
      last = await reach(beside);
      return isDeepStrictEqual(last, wanted) || undefined;
    },
    withinMs,
  ).catch(() => assert.deepEqual(last, wanted));
}

/** What the agent of `a` says of its host now. */
export async function findings({ a }: Beside): Promise<readonly Finding[]> {
  const status = (await a.status()) as unknown as {
    readonly host: { readonly findings: readonly Finding[] };
  };
  return status?.host.findings ?? [];
}

/** What the doctor of `a` says of one thing. */
export async function check({ a }: Beside, id: string): Promise<Check | undefined> {
  const said = await a.namespace.run([process.execPath, ...program(), 'get', '/doctor']);
  return (JSON.parse(said) as Diagnosis).checks.find(one => one.id === id);
}

/** How many things of each kind the agent of `a` has put back. */
export const mended = async ({ a }: Beside): Promise<Readonly<Record<string, number>>> =>
  (await a.status())?.mended ?? {};

export const finding = (beside: Beside, id: string, severity?: Finding['severity']): Promise<Finding> =>
  until(
    `the agent to say ${severity ?? ''} ${id}`,
    async () => (await findings(beside)).find(f => f.id === id && (severity ?? f.severity) === f.severity),
    20_000,
  );
