/** A node with an uplink, a neighbour on it, and servers in its pods: for ports of the node that lead to pods. */
import { type ChildProcess, spawn } from 'node:child_process';
import { here } from '../lab/namespace.ts';
import { type Added, type Call, inPod, ip, newNetns } from './bed.ts';
import { type UsedBed, useBed } from './usebed.ts';

export const NODE = { v4: '192.0.2.1', v6: '2001:db8::1' } as const;
export const CLIENT = { v4: '192.0.2.2', v6: '2001:db8::2' } as const;
export const HERE = '/proc/self/ns/net';

let outsideNetns = '';
let servers: ChildProcess[] = [];

/** Namespace of a neighbour of the node on its uplink. */
export const outside = (): string => outsideNetns;

/** Ended after the test. */
export const ended = (child: ChildProcess): void => void servers.push(child);

/** A neighbour of the node on its uplink. */
async function makeUplink(): Promise<void> {
  outsideNetns = await newNetns();
  await ip(
    'link',
    'add',
    'up0',
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    outsideNetns.replace('/run/netns/', ''),
  );
  await ip('link', 'set', 'up0', 'up');
  await ip('addr', 'add', `${NODE.v4}/24`, 'dev', 'up0');
  await ip('addr', 'add', `${NODE.v6}/64`, 'dev', 'up0', 'nodad');
  const script = `ip link set eth0 up; ip addr add ${CLIENT.v4}/24 dev eth0; ip addr add ${CLIENT.v6}/64 dev eth0 nodad`;
  await inPod(outsideNetns, 'sh', '-ec', script);
}

/** `useBed` with an uplink and servers. */
export const useUplink = (): UsedBed =>
  useBed({
    made: makeUplink,
    cleaned: async () => {
      for (const server of servers) server.kill('SIGKILL');
      servers = [];
      await here(['sh', '-c', 'ip link del up0; nft delete table inet weft-ports 2>/dev/null; true']);
    },
  });

/** Something that listens in the pod on both families, TCP and UDP. */
export async function serve(pod: Added, name: string, port = 80): Promise<void> {
  const argv = [
    'nsenter',
    `--net=${pod.netns}`,
    '--',
    process.execPath,
    `${import.meta.dirname}/echo.ts`,
    name,
    String(port),
  ];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  ended(child);
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', reject);
  });
}

export const mappings = (...portMappings: readonly Readonly<Record<string, unknown>>[]): Call => ({
  config: { runtimeConfig: { portMappings } },
});

export const TCP = { hostPort: 8080, containerPort: 80, protocol: 'tcp' } as const;
export const UDP = { hostPort: 8080, containerPort: 80, protocol: 'UDP' } as const;

/** What the server said, or `none`. */
export async function ask(
  netns: string,
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
): Promise<string> {
  const script = `exec 3<>/dev/${protocol}/${address}/${port} && echo x >&3 && head -n1 <&3`;
  // With a socket for stdin and no SHLVL bash takes itself for a remote shell, and reads whatever is in ~/.bashrc.
  const answer = inPod(netns, 'timeout', '2', 'bash', '--norc', '-c', script).catch(() => '');
  return (await answer).trim() || 'none';
}
