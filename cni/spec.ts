/** What a runtime asks, checked in the order in which the reference library checks it. Pure. */
import { parseCidr, parseIp } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import { CniError, CODES } from './errors.ts';
import type { Hello } from './wire.ts';
import { isObject, type Json, NO_WISHES, type Wishes, wishesOf } from './wishes.ts';

export const VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof VERSIONS)[number];

const COMMANDS = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'] as const;
export type Command = (typeof COMMANDS)[number];

export type Attachment = { readonly containerId: string; readonly ifname: string };

export type PrevResult = {
  readonly ips: readonly Ip[];
  /** Destinations of its routes. */
  readonly routes: readonly Cidr[];
  readonly raw: Readonly<Record<string, unknown>>;
};

export type PodRef = { readonly namespace: string; readonly name: string; readonly uid: string };

export type Request = Wishes & {
  readonly command: Command;
  readonly version: CniVersion;
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
  /** Empty where the runtime gave none. */
  readonly netns: string;
  readonly pod: PodRef | undefined;
  readonly prevResult: PrevResult | undefined;
  /** GC: those that live; undefined where the key is absent, and then nothing may go. */
  readonly valid: readonly Attachment[] | undefined;
};

type Env = ReadonlyMap<string, string>;

const bad = (message: string, details = ''): CniError => new CniError(CODES.badEnvironment, message, details);

const NEEDED: Readonly<Record<Exclude<Command, 'VERSION'>, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  GC: ['CNI_PATH'],
  STATUS: ['CNI_PATH'],
};

const isCommand = (text: string | undefined): text is Command => COMMANDS.includes(text as Command);

const ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** With the interface's name it is a file's. */
const MAX_ID = 200;

const idFault = (command: Command, id: string): string | undefined => {
  if (!ID.test(id)) return `invalid characters in CNI_CONTAINERID ${JSON.stringify(id)}`;
  // Such a container has nothing here, so DEL has nothing to refuse.
  return command === 'ADD' && id.length > MAX_ID
    ? `CNI_CONTAINERID of ${id.length} characters is longer than ${MAX_ID}`
    : undefined;
};

const ifnameFault = (name: string): string | undefined => {
  if (Buffer.byteLength(name) > 15) return `interface name ${name} is longer than 15 bytes`;
  // The kernel would put a number in its place.
  if (name.includes('%')) return `interface name ${name} contains %`;
  if (name === '.' || name === '..') return 'interface name is . or ..';
  return /[\s/:]/.test(name)
    ? `interface name ${JSON.stringify(name)} contains / or : or whitespace`
    : undefined;
};

function checkEnv(env: Env): Command {
  const command = env.get('CNI_COMMAND');
  if (!isCommand(command)) throw bad(`unknown CNI_COMMAND: ${command}`, `known are ${COMMANDS.join(', ')}`);
  if (command === 'VERSION') return command;
  const missing = NEEDED[command].filter(name => !env.get(name));
  if (missing.length > 0) throw bad(`required env variables [${missing.join(',')}] missing`);
  if (!NEEDED[command].includes('CNI_CONTAINERID')) return command;
  const fault =
    idFault(command, env.get('CNI_CONTAINERID') ?? '') ?? ifnameFault(env.get('CNI_IFNAME') ?? '');
  if (fault !== undefined) throw bad(fault);
  return command;
}

function parseStdin(stdin: Buffer): Json {
  let value: unknown;
  try {
    value = JSON.parse(stdin.toString());
  } catch (error) {
    throw new CniError(CODES.decode, 'error unmarshalling the network configuration on stdin', String(error));
  }
  if (!isObject(value))
    throw new CniError(CODES.decode, 'the network configuration on stdin is no JSON object');
  return value;
}

function checkName(conf: Json): string {
  const name = conf.name;
  if (typeof name !== 'string' || name === '') throw new CniError(CODES.badConfig, 'missing network name');
  if (!ID.test(name))
    throw new CniError(CODES.badConfig, `invalid characters found in network name ${JSON.stringify(name)}`);
  return name;
}

const SEMVER = /^\d+\.\d+\.\d+$/;
const SINCE: Readonly<Partial<Record<Command, CniVersion>>> = {
  CHECK: '0.4.0',
  GC: '1.1.0',
  STATUS: '1.1.0',
};

/** Absent version: the oldest there is, which we do not speak. */
function checkVersion(command: Command, conf: Json): CniVersion {
  const given = conf.cniVersion ?? '0.1.0';
  const since = SINCE[command];
  if (typeof given !== 'string' || (since && !SEMVER.test(given)))
    throw new CniError(CODES.decode, `cniVersion ${JSON.stringify(given)} is no version`);
  const known = VERSIONS.find(version => version === given);
  if (known === undefined)
    throw new CniError(
      CODES.incompatibleVersion,
      'incompatible CNI versions',
      `config is ${JSON.stringify(given)}, plugin supports ${JSON.stringify(VERSIONS)}`,
    );
  if (since !== undefined && VERSIONS.indexOf(known) < VERSIONS.indexOf(since))
    throw new CniError(
      CODES.incompatibleVersion,
      `config version does not allow ${command}`,
      `${command} is in ${since} and above`,
    );
  return known;
}

const cniArgs = (env: Env): ReadonlyMap<string, string> =>
  new Map(
    (env.get('CNI_ARGS') ?? '')
      .split(';')
      .map(pair => pair.split('=', 2) as [string, string])
      .filter(pair => pair.length === 2),
  );

function podOf(args: ReadonlyMap<string, string>): PodRef | undefined {
  const name = args.get('K8S_POD_NAME');
  if (!name) return undefined;
  return { namespace: args.get('K8S_POD_NAMESPACE') ?? 'default', name, uid: args.get('K8S_POD_UID') ?? '' };
}

/** That field of each object in a list, where it is text. */
const texts = (list: unknown, field: string): readonly string[] =>
  (Array.isArray(list) ? list : []).flatMap(item =>
    isObject(item) && typeof item[field] === 'string' ? [item[field]] : [],
  );

function prevResultOf(conf: Json): PrevResult | undefined {
  if (!isObject(conf.prevResult)) return undefined;
  const raw = conf.prevResult;
  const ips = texts(raw.ips, 'address').flatMap(text => {
    const ip = parseIp(text.split('/')[0] ?? '');
    return ip.ok ? [ip.value] : [];
  });
  const routes = texts(raw.routes, 'dst').flatMap(text => {
    const cidr = parseCidr(text);
    return cidr.ok ? [cidr.value] : [];
  });
  return { ips, routes, raw };
}

/** Whoever is not read here would be removed as stale, so nothing is passed over. */
const badValid = (what: unknown): CniError =>
  new CniError(
    CODES.badConfig,
    `cni.dev/valid-attachments must be a list of {"containerID", "ifname"}, and has ${JSON.stringify(what)}`,
    'nothing is removed',
  );

function validOf(conf: Json): readonly Attachment[] | undefined {
  const list = conf['cni.dev/valid-attachments'] ?? conf['cni.dev/attachments'];
  if (list === undefined || list === null) return undefined;
  if (!Array.isArray(list)) throw badValid(list);
  return list.map(item => {
    if (isObject(item) && typeof item.containerID === 'string' && typeof item.ifname === 'string')
      return { containerId: item.containerID, ifname: item.ifname };
    throw badValid(item);
  });
}

/** Environment, stdin, configuration, version, in this order; throws CniError. */
export function parseRequest({ env, stdin, stdinUnreadable }: Hello): Request {
  const command = checkEnv(env);
  if (stdinUnreadable)
    throw new CniError(CODES.io, 'error reading from stdin', 'it is closed, or above 1 MiB');
  const conf = command === 'VERSION' ? { name: 'version', cniVersion: '1.1.0' } : parseStdin(stdin);
  const network = checkName(conf);
  const version = checkVersion(command, conf);
  const args = cniArgs(env);
  return {
    command,
    version,
    network,
    containerId: env.get('CNI_CONTAINERID') ?? '',
    ifname: env.get('CNI_IFNAME') ?? '',
    netns: env.get('CNI_NETNS') ?? '',
    pod: podOf(args),
    ...(command === 'ADD' ? wishesOf(conf, args) : NO_WISHES),
    prevResult: prevResultOf(conf),
    valid: command === 'GC' ? validOf(conf) : undefined,
  };
}

/** The version to answer in, also where the request is refused. */
export function answerVersion(stdin: Buffer): string {
  try {
    const conf: unknown = JSON.parse(stdin.toString());
    const version = isObject(conf) ? conf.cniVersion : undefined;
    return typeof version === 'string' && version !== '' ? version : '1.1.0';
  } catch {
    return '1.1.0';
  }
}
