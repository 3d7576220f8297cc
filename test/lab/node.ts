/** A node of the lab: a host with state of its own, and the real agent on it as its own process. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { STATE_DIR, STATUS_SOCKET } from '../../constants.ts';
import { type Namespace, newHost } from './namespace.ts';
import type { Host } from './runtime.ts';
import type { UnderlayAddress } from './underlay.ts';
import { PATIENCE } from './wait.ts';

export type LabNode = Host & {
  readonly name: string;
  readonly number: number;
  readonly address: UnderlayAddress;
  /** The agent's log, JSON lines. */
  readonly logFile: string;
  /** `as`: for a Node of another name than the host's. */
  readonly startAgent: (settings?: Readonly<Record<string, unknown>>, as?: string) => ChildProcess;
  /** The agent's own account, as `GET /status` on its socket; undefined while it does not answer. */
  readonly status: () => Promise<AgentStatus | undefined>;
  readonly end: () => Promise<void>;
};

/** The part of the status that the lab looks at. */
export type AgentStatus = {
  readonly ready: boolean;
  readonly engine: { readonly kind: string };
  readonly publicKey?: string;
  readonly api: { readonly connected: boolean };
  readonly pods: readonly { readonly ips: readonly string[] }[];
  readonly mended: Readonly<Record<string, number>>;
  readonly rotation: { readonly state: string; readonly reason?: string };
  readonly warnings: readonly { readonly node: string; readonly message: string }[];
  readonly reconcile: { readonly runs: number; readonly changes: number; readonly spawns: number };
  readonly peers: readonly {
    readonly node: string;
    readonly state: string;
    readonly reason?: string;
    readonly endpoint?: string;
    readonly handshakeAgeMs?: number;
    readonly rttMs?: number;
    readonly rxBytes: number;
    readonly txBytes: number;
  }[];
  readonly excluded: readonly { readonly node: string; readonly reason: string }[];
};

/**
 * The program of agent and command, with Node's flags before it; a bundle where the sources take too long to start
 * (test/kernel), or where it shall run as in the image (test/bench/bundled.ts).
 */
export const program = (): readonly string[] =>
  process.env.WEFT_LAB_AGENT?.split(' ') ?? [join(import.meta.dirname, '..', '..', 'main.ts')];

/**
 * Each node sees a /run, a state directory, a machine-id and an /etc/hosts of its own at the usual places.
 * The CNI directories are settings; here they lie in the node's directory of the lab.
 */
const prepare = (dir: string): string =>
  [
    'mount --make-rprivate /',
    `mount --bind ${dir}/run /run`,
    `mkdir -p ${STATE_DIR}`,
    `mount --bind ${dir}/state ${STATE_DIR}`,
    `mount --bind ${dir}/machine-id /etc/machine-id`,
    `{ [ ! -e /etc/hosts ] || mount --bind ${dir}/hosts /etc/hosts; }`,
  ].join(' && ');

function makeDirectories(dir: string, number: number): void {
  for (const part of ['run', 'state', 'bin', 'conf'])
    mkdirSync(join(dir, part), { recursive: true, mode: 0o755 });
  writeFileSync(join(dir, 'machine-id'), `${number.toString(16).padStart(32, '0')}\n`);
  writeFileSync(join(dir, 'hosts'), '127.0.0.1 localhost\n::1 localhost\n');
}

/** HTTP over a unix socket that only the node's mount namespace has by name. */
function getStatus(pid: number): Promise<AgentStatus | undefined> {
  return new Promise(resolve => {
    const socketPath = `/proc/${pid}/root${STATUS_SOCKET}`;
    const req = request({ socketPath, path: '/status', timeout: 2_000 * PATIENCE }, response => {
      let body = '';
      response.on('data', chunk => {
        body += chunk;
      });
      response.on('end', () => resolve(response.statusCode === 200 ? JSON.parse(body) : undefined));
    });
    req.on('timeout', () => req.destroy());
    req.on('error', () => resolve(undefined));
    req.end();
  });
}

function agentOf(namespace: Namespace, dir: string, name: string, kubeconfig: string, logFile: string) {
  return (settings: Readonly<Record<string, unknown>> = {}, as = name): ChildProcess => {
    const config = join(dir, 'config.json');
    const all = { cniBinDir: join(dir, 'bin'), cniConfDir: join(dir, 'conf'), ...settings };
    writeFileSync(config, JSON.stringify(all));
    const log = openSync(logFile, 'a');
    const argv = [process.execPath, ...program(), 'agent', '--node', as];
    const child = namespace.start([...argv, '--kubeconfig', kubeconfig, '--config', config], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    return child;
  };
}

/** Connects a host to a network, with an address and a default route. */
export type Plug = (host: Namespace, number: number) => Promise<UnderlayAddress>;

/** A host with directories of its own below `labDir`; the agent is not started yet. */
export async function newNode(
  labDir: string,
  number: number,
  kubeconfig: string,
  plugIn: Plug,
): Promise<LabNode> {
  const name = `node${number}`;
  const dir = join(labDir, name);
  makeDirectories(dir, number);
  const namespace = await newHost(prepare(dir));
  const address = await plugIn(namespace, number);
  const logFile = join(dir, 'agent.log');
  return {
    name,
    number,
    namespace,
    binDir: join(dir, 'bin'),
    confDir: join(dir, 'conf'),
    address,
    logFile,
    startAgent: agentOf(namespace, dir, name, kubeconfig, logFile),
    status: () => getStatus(namespace.pid),
    end: namespace.end,
  };
}
