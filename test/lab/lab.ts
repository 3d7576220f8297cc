/** A cluster in namespaces: an underlay, the embedded API server, nodes with real agents. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildShim } from '../../cni/shim/build.ts';
import { CONFLIST } from '../../constants.ts';
import { RESOURCES, type Resource } from '../apiserver/resources.ts';
import { type ApiServer, startApiServer } from '../apiserver/server.ts';
import { type LabNode, newNode, type Plug } from './node.ts';
import { LAB, makeUnderlay, nodeAddress, plug } from './underlay.ts';
import { until } from './wait.ts';

export const CLUSTER_CIDRS = ['10.42.0.0/16', 'fd42::/48'] as const;

export type Member = LabNode & {
  /** The agent as it runs now. */
  readonly agent: () => ChildProcess | undefined;
  /** Starts the agent, or starts it again. */
  readonly start: (settings?: Readonly<Record<string, unknown>>, as?: string) => void;
  /** Ends the agent and waits for its end; the data path stays. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
};

/** Where a host is, and what its kubelet and its cloud say of it. */
export type Place = {
  readonly plug: Plug;
  readonly object: (number: number) => object;
  /** More settings of its agent. */
  readonly settings?: Readonly<Record<string, unknown>>;
};

export type Lab = {
  readonly dir: string;
  readonly api: ApiServer;
  readonly members: () => readonly Member[];
  /** A Node object and a host with its agent running, on the underlay or at another place. */
  readonly join: (number: number, place?: Place) => Promise<Member>;
  /** The same with other podCIDRs than usual. */
  readonly joinWith: (number: number, cidrs: readonly string[]) => Promise<Member>;
  readonly end: () => Promise<void>;
};

export const NODES = RESOURCES.find(resource => resource.plural === 'nodes') as Resource;

export const podCidrs = (number: number): readonly string[] => [
  `10.42.${number}.0/24`,
  `fd42:0:0:${number.toString(16)}::/64`,
];

/** As kubelet and controller manager make it. */
export const nodeObject = (number: number, cidrs = podCidrs(number)) => {
  const { v4, v6 } = nodeAddress(number);
  return {
    metadata: { name: `node${number}`, labels: { 'kubernetes.io/hostname': `node${number}` } },
    spec: { podCIDR: cidrs[0], podCIDRs: cidrs },
    status: {
      addresses: [
        { type: 'InternalIP', address: v4 },
        { type: 'InternalIP', address: v6 },
        { type: 'Hostname', address: `node${number}` },
      ],
    },
  };
};

const exited = (child: ChildProcess | undefined): Promise<void> =>
  child === undefined || child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise(resolve => child.once('exit', () => resolve()));

function member(node: LabNode): Member {
  let agent: ChildProcess | undefined;
  return {
    ...node,
    agent: () => agent,
    start: (settings = {}, as = node.name) => {
      agent = node.startAgent({ clusterCidrs: CLUSTER_CIDRS, ...settings }, as);
    },
    stop: async (signal = 'SIGTERM') => {
      agent?.kill(signal);
      await exited(agent);
      agent = undefined;
    },
  };
}

const UNDERLAY_PLACE: Place = { plug, object: number => nodeObject(number) };

/** Must run inside `reenter`'s namespaces: it makes links where it stands. */
export async function startLab(): Promise<Lab> {
  buildShim(process.arch === 'arm64' ? 'arm64' : 'amd64');
  const dir = mkdtempSync('/mnt/lab-');
  await makeUnderlay();
  const api = await startApiServer({ host: LAB.v4, token: 'lab' });
  const kubeconfig = join(dir, 'kubeconfig');
  writeFileSync(kubeconfig, api.kubeconfig(), { mode: 0o600 });
  const members: Member[] = [];

  const join_ = async (number: number, place: Place = UNDERLAY_PLACE): Promise<Member> => {
    const joined = member(await newNode(dir, number, kubeconfig, place.plug));
    members.push(joined);
    api.store.create(NODES, undefined, place.object(number) as never);
    joined.start(place.settings);
    return joined;
  };

  const end = async (): Promise<void> => {
    await Promise.all(members.map(m => m.stop('SIGKILL')));
    await Promise.all(members.map(m => m.end()));
    await api.stop();
    rmSync(dir, { recursive: true, force: true });
  };

  return {
    dir,
    api,
    members: () => members,
    join: join_,
    joinWith: (number, cidrs) => join_(number, { plug, object: n => nodeObject(n, cidrs) }),
    end,
  };
}

/** Every peer of every node established, or an error that says which are not and why. */
export async function untilMeshed(members: readonly Member[], withinMs = 30_000): Promise<void> {
  let last = '';
  await until(
    'all peers to be established',
    async () => {
      const open: string[] = [];
      for (const m of members) {
        const status = await m.status();
        const up = new Set(status?.peers.filter(p => p.state === 'established').map(p => p.node));
        for (const other of members)
          if (other !== m && !up.has(other.name)) open.push(`${m.name}→${other.name}`);
      }
      last = open.join(', ');
      return open.length === 0 ? true : undefined;
    },
    withinMs,
  ).catch(error => {
    throw new Error(`${error.message}; still open: ${last}`);
  });
}

const lastLines = (file: string): string => readFileSync(file, 'utf8').split('\n').slice(-8).join('\n');

/** As a container runtime waits: until a configuration is in its directory. */
export const untilInstalled = (m: Member, withinMs = 30_000): Promise<true> =>
  until(
    `the CNI configuration of ${m.name}`,
    () => existsSync(join(m.confDir, CONFLIST)) || undefined,
    withinMs,
    5,
  ).catch(error => {
    throw new Error(`${error.message}; its agent's last lines:\n${lastLines(m.logFile)}`);
  });
