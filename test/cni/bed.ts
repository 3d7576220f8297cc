/** One node for the CNI tests: the bridge, the real server in this process, the real binary, pods as bare namespaces. */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Log } from '../../agent/log.ts';
import { type CniConfig, type CniOptions, type CniServer, startCni } from '../../cni/server.ts';
import { buildShim } from '../../cni/shim/build.ts';
import {
  BRIDGE,
  BRIDGE_MAC,
  CNI_SOCKET,
  COOLING_FILE,
  DEL_QUEUE_DIR,
  LEASE_DIR,
  READY_MARKER,
  RUN_DIR,
} from '../../constants.ts';
import { type LinuxKernel, openKernel } from '../../platform/linux/kernel.ts';
import type { TableMemo } from '../../platform/linux/table.ts';
import type { Cidr, Ip } from '../../types.ts';
import { here } from '../lab/namespace.ts';

/** Where `buildShim` has put the binary. */
export const BINARY = buildShim(process.arch === 'arm64' ? 'arm64' : 'amd64');

export const CONFIG: CniConfig = {
  podCidrs: ['10.42.1.0/24' as Cidr, 'fd42:0:0:1::/64' as Cidr],
  gateways: ['10.42.1.1' as Ip, 'fd42:0:0:1::1' as Ip],
  mtu: 1420,
  antiSpoofing: true,
};

/** Of `ip -j`. */
export const json = async <T = Readonly<Record<string, unknown>>[]>(argv: readonly string[]): Promise<T> => {
  const text = await here(argv);
  return (text.trim() === '' ? [] : JSON.parse(text)) as T;
};

export const ip = (...args: readonly string[]): Promise<string> => here(['ip', ...args]);

/** As the mesh makes it. */
export async function makeBridge(config: CniConfig = CONFIG): Promise<void> {
  await ip('link', 'add', BRIDGE, 'address', BRIDGE_MAC, 'type', 'bridge', 'mcast_snooping', '0');
  await ip('link', 'set', BRIDGE, 'up');
  for (const gateway of config.gateways)
    await ip(
      'addr',
      'add',
      `${gateway}/${gateway.includes(':') ? 128 : 32}`,
      'dev',
      BRIDGE,
      ...(gateway.includes(':') ? ['nodad'] : []),
    );
  for (const key of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'])
    writeFileSync(`/proc/sys/net/${key}`, '1');
}

export type Line = { readonly level: string; readonly message: string } & Readonly<Record<string, unknown>>;

/** Keeps what was said. */
export function newLog(): { readonly log: Log; readonly lines: Line[] } {
  const lines: Line[] = [];
  const say = (level: string) => (facts: Readonly<Record<string, unknown>>, message: string) =>
    void lines.push({ ...facts, level, message });
  return {
    lines,
    log: { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
  };
}

export type Bed = {
  readonly kernel: LinuxKernel;
  readonly cni: CniServer;
  readonly lines: Line[];
  readonly stop: () => Promise<void>;
};

export const memos = () => {
  const kept = new Map<string, TableMemo>();
  return {
    get: (table: string) => kept.get(table),
    set: async (t: string, m: TableMemo) => void kept.set(t, m),
  };
};

/** The server as the agent starts it, configured and swept once. */
export async function startBed(
  options: Partial<CniOptions> = {},
  config: CniConfig | { readonly reason: string } = CONFIG,
): Promise<Bed> {
  mkdirSync(RUN_DIR, { recursive: true, mode: 0o700 });
  const kernel = options.kernel ?? openKernel();
  const { log, lines } = newLog();
  const cni = await startCni({
    kernel,
    memos: memos(),
    log,
    socketPath: CNI_SOCKET,
    leaseDir: LEASE_DIR,
    delQueueDir: DEL_QUEUE_DIR,
    coolingFile: COOLING_FILE,
    readyMarker: READY_MARKER,
    ...options,
  });
  cni.configure(config);
  await cni.sweep();
  return {
    kernel,
    cni,
    lines,
    stop: async () => {
      await cni.close();
      await kernel.close();
    },
  };
}

/** Nothing of an earlier test: no pods, leases, queue or marker. */
export async function clean(): Promise<void> {
  const links = await json<{ ifname: string }[]>(['ip', '-j', 'link']);
  for (const { ifname } of links.filter(l => l.ifname.startsWith('wv'))) await ip('link', 'del', ifname);
  await here(['sh', '-c', 'ip netns list | cut -d" " -f1 | xargs -r -n1 ip netns del']);
  await here(['sh', '-c', 'nft delete table bridge weft 2>/dev/null; true']);
  for (const path of [LEASE_DIR, DEL_QUEUE_DIR, READY_MARKER, COOLING_FILE])
    rmSync(path, { recursive: true, force: true });
}

let serial = 0;

/** A namespace as a runtime makes it. */
export async function newNetns(): Promise<string> {
  const name = `pod${process.pid}-${++serial}`;
  await ip('netns', 'add', name);
  return `/run/netns/${name}`;
}

export const inPod = (netns: string, ...argv: readonly string[]): Promise<string> =>
  here(['nsenter', `--net=${netns}`, '--', ...argv]);

export const newId = (): string =>
  `${(++serial).toString(16)}-${process.pid}`.padStart(8, 'c').padEnd(64, '0');

/** What the binary prints: a result or an error. */
export type Json = {
  readonly cniVersion: string;
  readonly code?: number;
  readonly msg?: string;
  readonly details?: string;
  readonly supportedVersions?: readonly string[];
  readonly interfaces?: readonly {
    readonly name: string;
    readonly mac?: string;
    readonly mtu?: number;
    readonly sandbox?: string;
  }[];
  readonly ips?: readonly {
    readonly address: string;
    readonly gateway?: string;
    readonly interface?: number;
    readonly version?: string;
  }[];
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[];
};

export type Answer = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly json: Json | undefined;
  readonly ms: number;
};

export type Call = {
  readonly id?: string;
  readonly netns?: string;
  readonly ifname?: string;
  readonly version?: string;
  /** Merged into the configuration; `undefined` takes a key away. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Instead of a configuration. */
  readonly stdin?: string;
  /** `closed`: there is no descriptor 0. `open`: it never ends. */
  readonly stdinAs?: 'pipe' | 'closed' | 'open';
  /** Over the usual environment; `undefined` takes a name away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly argv0?: string;
};

export const envOf = ({ id, netns, ifname = 'eth0', env = {} }: Call, command: string | undefined) => {
  const whole: Record<string, string | undefined> = {
    PATH: process.env.PATH,
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_PATH: '/opt/cni/bin',
    ...env,
  };
  return Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined));
};

export const configOf = ({ version = '1.1.0', config = {}, stdin }: Call): string =>
  stdin ?? JSON.stringify({ cniVersion: version, name: 'weft', type: 'weft-cni', ...config });

/** One exec of the binary. */
export function call(command: string | undefined, options: Call = {}): Promise<Answer> {
  const { stdinAs = 'pipe', argv0 } = options;
  const begin = performance.now();
  const argv = stdinAs === 'closed' ? ['sh', '-c', 'exec "$0" <&-', BINARY] : [BINARY];
  const child = spawn(argv[0] as string, argv.slice(1), {
    env: envOf(options, command),
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(argv0 !== undefined && { argv0 }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', chunk => {
    stdout += chunk;
  });
  child.stderr.on('data', chunk => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {});
  if (stdinAs !== 'open') child.stdin.end(configOf(options));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', code => {
      child.stdin.destroy();
      const parsed = stdout.trim() === '' ? undefined : JSON.parse(stdout);
      resolve({ code, stdout, stderr, json: parsed, ms: performance.now() - begin });
    });
  });
}

export type Added = {
  readonly id: string;
  readonly netns: string;
  readonly result: Json;
  /** Name of the host's end. */
  readonly link: string;
  /** Without prefix length. */
  readonly v4: string;
  readonly v6: string;
};

/** A pod with the binary's ADD; throws with the binary's words where that fails. */
export async function addPod(options: Call = {}): Promise<Added> {
  const netns = options.netns ?? (await newNetns());
  const id = options.id ?? newId();
  const { code, json: result, stdout } = await call('ADD', { ...options, id, netns });
  if (code !== 0 || result === undefined) throw new Error(`ADD: ${stdout}`);
  const own = (result.ips ?? []).map(one => one.address.split('/')[0] ?? '');
  const link = result.interfaces?.find(one => one.name.startsWith('wv'))?.name ?? '';
  const v6 = (text: string): boolean => text.includes(':');
  return { id, netns, result, link, v4: own.find(a => !v6(a)) ?? '', v6: own.find(v6) ?? '' };
}

/** CHECK or DEL of a pod, with its prevResult as libcni gives it. */
export const callPod = (command: string, pod: Added, options: Call = {}): Promise<Answer> =>
  call(command, {
    id: pod.id,
    netns: pod.netns,
    ...options,
    config: { prevResult: pod.result, ...options.config },
  });
