/** `weft doctor --local`: this node looked at from outside its agent, which may be dead or was never there. Changes nothing. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, readKernelFacts } from '../agent/kernelfacts.ts';
import type { Log } from '../agent/log.ts';
import { otherConfigs } from '../cni/install.ts';
import { type Config, defaults, parseConfig } from '../config.ts';
import {
  BRIDGE,
  CONFIG_FILE,
  CONFLIST,
  DEL_QUEUE_DIR,
  LEASE_DIR,
  READY_MARKER,
  STATE_DIR,
  STATUS_SOCKET,
  WG_LINK,
} from '../constants.ts';
import { messageOf } from '../discovery/api-error.ts';
import { readIfThere } from '../discovery/files.ts';
import { inspectKey } from '../discovery/keystore.ts';
import { loadState } from '../discovery/saver.ts';
import { bareChecks } from '../doctor/bare.ts';
import type { BareFacts, Diagnosis } from '../doctor/types.ts';
import { ensureForward, readFirewalld } from '../host/ensure.ts';
import type { HostFacts } from '../host/types.ts';
import type { Engine } from '../platform/linux/engine.ts';
import type { Firewalls } from '../platform/linux/firewall.ts';
import type { Kernel, Link, WgDevice } from '../platform/linux/types.ts';
import { HINT, openLocal } from './local.ts';

export type BareOptions = {
  /** Where the host's file system is. */
  readonly host: string;
  /** File of settings; undefined: the agent's own place, where there is one. */
  readonly config: string | undefined;
  readonly node: string | undefined;
};

type Settings = { readonly config: Config; readonly settings: BareFacts['settings'] };

function readSettings(asked: string | undefined): Settings {
  const path = asked ?? CONFIG_FILE;
  try {
    const text = asked === undefined ? readIfThere(path) : readFileSync(path, 'utf8');
    if (text === undefined) return { config: defaults(), settings: { path: undefined, error: undefined } };
    const config = parseConfig(JSON.parse(text));
    if (config.ok) return { config: config.value, settings: { path, error: undefined } };
    return { config: defaults(), settings: { path, error: config.error } };
  } catch (error) {
    return { config: defaults(), settings: { path, error: messageOf(error) } };
  }
}

const filesIn = (dir: string): readonly string[] => (existsSync(dir) ? readdirSync(dir) : []);

function pluginFacts(host: string, { cniBinDir, cniConfDir }: Config): BareFacts['cni'] {
  const confDir = join(host, cniConfDir);
  return {
    binDir: cniBinDir,
    confDir: cniConfDir,
    binary: existsSync(join(host, cniBinDir, 'weft-cni')),
    config: existsSync(join(confDir, CONFLIST)),
    earlier: existsSync(confDir) ? otherConfigs(confDir).earlier : [],
    ready: existsSync(join(host, READY_MARKER)),
  };
}

const unsaid = (): void => {};
const SILENT: Log = { debug: unsaid, info: unsaid, warn: unsaid, error: unsaid };

/** Where the agent's memory cannot be read, peers are told by their keys. */
function namesIn(dir: string): BareFacts['names'] {
  const facts = loadState(dir, SILENT);
  return new Map(facts.flatMap(f => (f.publicKey === undefined ? [] : [[f.publicKey, f.name] as const])));
}

function engineOf(link: Link | undefined, device: WgDevice | undefined): Engine | undefined {
  if (link === undefined) return undefined;
  if (link.kind === 'wireguard') return { kind: 'kernel' };
  if (device !== undefined) return { kind: 'wireguard-go' };
  return { kind: 'none', reason: `the link ${WG_LINK} is there, and no wireguard-go answers for it` };
}

/** Reads alone: rules of ours that are missing are said, and not put there. */
function onlyLooking(firewalls: Firewalls): Firewalls {
  const absent = (): Promise<never> =>
    Promise.reject(new Error('they are missing, and only the agent puts them there'));
  return {
    ...firewalls,
    apply: absent,
    legacy: family => {
      const legacy = firewalls.legacy(family);
      return legacy && { ...legacy, append: absent, remove: absent };
    },
  };
}

type HostLook = { readonly nft: string | undefined; readonly host: HostFacts | undefined };

async function lookAtHost(
  kernel: Kernel,
  firewalls: Firewalls,
  held: string | undefined,
  { listenPort, clusterCidrs }: Config,
): Promise<HostLook> {
  try {
    const look = await ensureForward(onlyLooking(firewalls));
    const links = (await kernel.links.list()).map(link => link.name);
    const port = held === undefined ? undefined : { port: listenPort, holder: held };
    const firewalld = await readFirewalld(firewalls, look, clusterCidrs, listenPort);
    return { nft: undefined, host: { ...look, firewalld, links, port, listenPort, clusterCidrs } };
  } catch (error) {
    return { nft: messageOf(error), host: undefined };
  }
}

/** What of the kernel is asked, so that tests may answer. */
export type Machine = {
  readonly kernel: Kernel;
  readonly firewalls: Firewalls;
  /** Who holds a UDP port, in words. */
  readonly udpHolder: (port: number) => string | undefined;
  /** Why the agent cannot be asked; undefined: it answers. */
  readonly agentTrouble: (socket: string) => Promise<string | undefined>;
};

export async function gatherBare(
  { kernel, firewalls, udpHolder, agentTrouble }: Machine,
  { host, config: path, node }: BareOptions,
): Promise<BareFacts> {
  const { config, settings } = readSettings(path);
  const stateDir = join(host, STATE_DIR);
  const [facts, link, device, bridge, addresses, routes] = await Promise.all([
    readKernelFacts(kernel),
    attempt(() => kernel.links.get(WG_LINK)),
    attempt(() => kernel.wg.dump(WG_LINK)),
    attempt(() => kernel.links.get(BRIDGE)),
    attempt(() => kernel.addresses.list(BRIDGE)),
    attempt(() => kernel.routes.ours()),
  ]);
  const engine = engineOf(link, device);
  // Where there is a tunnel, the port is its own.
  const held = link === undefined ? udpHolder(config.listenPort) : undefined;
  return {
    ...facts,
    ...(await lookAtHost(kernel, firewalls, held, config)),
    antiSpoofing: config.antiSpoofing,
    node,
    now: Date.now(),
    agent: await agentTrouble(join(host, STATUS_SOCKET)),
    settings,
    key: inspectKey(stateDir),
    engine,
    like: {
      engine: engine ?? { kind: 'none', reason: `there is no link ${WG_LINK}` },
      podCidrs: (addresses ?? []).map(({ address }) => address),
    },
    device,
    names: namesIn(stateDir),
    bridge: bridge !== undefined,
    routes: routes?.length ?? 0,
    leases: filesIn(join(host, LEASE_DIR)).length,
    queued: filesIn(join(host, DEL_QUEUE_DIR)).length,
    cni: pluginFacts(host, config),
  };
}

const PATIENCE_MS = 3_000;

async function agentTrouble(socket: string): Promise<string | undefined> {
  if (!existsSync(socket)) return `there is no ${socket}: no agent has started here since the node’s boot`;
  const agents = openLocal(socket);
  return agents
    .get('', '/healthz', PATIENCE_MS)
    .then(
      () => undefined,
      (error: unknown) => messageOf(error).replace(HINT, ''),
    )
    .finally(() => agents.close());
}

async function openMachine(): Promise<Machine & { readonly close: () => Promise<void> }> {
  const [{ openKernel }, { openFirewalls }, { udpHolder }] = await Promise.all([
    import('../platform/linux/kernel.ts'),
    import('../platform/linux/firewall.ts'),
    import('../platform/linux/holder.ts'),
  ]);
  const kernel = openKernel();
  return { kernel, firewalls: openFirewalls(), udpHolder, agentTrouble, close: () => kernel.close() };
}

const SOCKETS = '/var/run/wireguard';

/** `wg` looks for wireguard-go's sockets at one place alone; in a pod the host's are elsewhere. Touches only the pod. */
function showSocket(host: string): void {
  const [theirs, ours] = [join(host, '/run/wireguard', `${WG_LINK}.sock`), join(SOCKETS, `${WG_LINK}.sock`)];
  if (join(host, '/') === '/' || existsSync(ours) || !existsSync(theirs)) return;
  mkdirSync(SOCKETS, { recursive: true });
  symlinkSync(theirs, ours);
}

/** Rejects where this program cannot look at the machine at all. */
export async function diagnoseBare(options: BareOptions): Promise<Diagnosis> {
  const machine = await openMachine().catch((error: unknown) => {
    throw new Error(
      `this program cannot look at the machine (${messageOf(error).split('\n')[0]}): run it from weft’s image on the node, as root; docs/troubleshooting.md says how`,
    );
  });
  try {
    showSocket(options.host);
    const checks = bareChecks(await gatherBare(machine, options));
    return { node: options.node ?? 'this node', now: Date.now(), checks };
  } finally {
    await machine.close();
  }
}
