/** What a runtime asks, checked in the order in which the reference library checks it. Pure. */
import { BRIDGE_MAC } from '../constants.ts';
import { parseCidr, parseIp } from '../ip.ts';
import type { Cidr, Ip } from '../types.ts';
import { CniError, CODES } from './errors.ts';
import { type Limits, parseLimits } from './limits.ts';
import { type PortMapping, parsePort } from './ports.ts';
import type { Hello } from './wire.ts';

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

export type Request = {
  readonly command: Command;
  readonly version: CniVersion;
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
  /** Empty where the runtime gave none. */
  readonly netns: string;
  readonly pod: PodRef | undefined;
  /** Addresses that the runtime asks for. */
  readonly requested: readonly Ip[];
  /** MAC that the runtime asks for, in small letters. */
  readonly mac: string | undefined;
  /** Ports of the node that shall lead to the pod. */
  readonly ports: readonly PortMapping[];
  readonly limits: Limits | undefined;
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

const ifnameFault = (name: string): string | undefined => {
  if (name.length > 15) return `interface name ${name} is longer than 15 characters`;
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
  const id = env.get('CNI_CONTAINERID');
  if (NEEDED[command].includes('CNI_CONTAINERID') && !ID.test(id ?? ''))
    throw bad(`invalid characters in CNI_CONTAINERID ${JSON.stringify(id)}`);
  const fault = NEEDED[command].includes('CNI_IFNAME') && ifnameFault(env.get('CNI_IFNAME') ?? '');
  if (fault) throw bad(fault);
  return command;
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

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

const strings = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];

function requestedIps(conf: Json, args: ReadonlyMap<string, string>): readonly Ip[] {
  const runtime = isObject(conf.runtimeConfig) ? strings(conf.runtimeConfig.ips) : [];
  const inline = isObject(conf.args) && isObject(conf.args.cni) ? strings(conf.args.cni.ips) : [];
  const all = [...(args.get('IP')?.split(',') ?? []), ...inline, ...runtime];
  return all.map(text => {
    const ip = parseIp(text.split('/')[0] ?? '');
    if (!ip.ok)
      throw new CniError(CODES.badConfig, `the address asked for, ${JSON.stringify(text)}, is none`);
    return ip.value;
  });
}

const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;

/** Whether a MAC in small letters cannot be a pod's. */
export const macFault = (mac: string): boolean =>
  !MAC.test(mac) ||
  (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1 ||
  mac === BRIDGE_MAC ||
  mac === '00:00:00:00:00:00';

/** By the conventions: environment, then `args.cni`, then `runtimeConfig`; the last one counts. */
function requestedMac(conf: Json, args: ReadonlyMap<string, string>): string | undefined {
  const runtime = isObject(conf.runtimeConfig) ? conf.runtimeConfig.mac : undefined;
  const inline = isObject(conf.args) && isObject(conf.args.cni) ? conf.args.cni.mac : undefined;
  const given = [runtime, inline, args.get('MAC')].find(mac => mac !== undefined && mac !== '');
  if (given === undefined) return undefined;
  const mac = typeof given === 'string' ? given.toLowerCase().replaceAll('-', ':') : '';
  if (macFault(mac))
    throw new CniError(
      CODES.badConfig,
      `the MAC asked for, ${JSON.stringify(given)}, cannot be a pod's`,
      `it must be six bytes in hex, of one receiver, and not the bridge's, ${BRIDGE_MAC}`,
    );
  return mac;
}

function requestedPorts(conf: Json): readonly PortMapping[] {
  const list = isObject(conf.runtimeConfig) ? (conf.runtimeConfig.portMappings ?? []) : [];
  if (!Array.isArray(list)) throw new CniError(CODES.badConfig, 'portMappings is no list');
  return list.flatMap(mapping => parsePort(mapping) ?? []);
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
    requested: command === 'ADD' ? requestedIps(conf, args) : [],
    mac: command === 'ADD' ? requestedMac(conf, args) : undefined,
    ports: command === 'ADD' ? requestedPorts(conf) : [],
    limits:
      command === 'ADD' && isObject(conf.runtimeConfig)
        ? parseLimits(conf.runtimeConfig.bandwidth)
        : undefined,
    prevResult: prevResultOf(conf),
    valid: validOf(conf),
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
