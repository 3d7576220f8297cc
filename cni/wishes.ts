/** What a runtime or a configuration asks for a pod: addresses, MAC, ports, limits, DNS. Pure; throws CniError. */
import { BRIDGE_MAC } from '../constants.ts';
import { parseIp } from '../ip.ts';
import type { Ip } from '../types.ts';
import { CniError, CODES } from './errors.ts';
import { type Limits, parseLimits } from './limits.ts';
import { type PortMapping, parsePort } from './ports.ts';

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Of resolv.conf, as results of CNI have it. */
export type Dns = {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
};

export type Wishes = {
  /** Addresses that the runtime asks for. */
  readonly requested: readonly Ip[];
  /** MAC that the runtime asks for, in small letters. */
  readonly mac: string | undefined;
  /** Ports of the node that shall lead to the pod. */
  readonly ports: readonly PortMapping[];
  readonly limits: Limits | undefined;
  /** Of the configuration, for the result. */
  readonly dns: Dns;
};

export const NO_WISHES: Wishes = { requested: [], mac: undefined, ports: [], limits: undefined, dns: {} };

const bad = (what: string, value: unknown, details = ''): CniError =>
  new CniError(CODES.badConfig, `${what}, and not ${JSON.stringify(value)}`, details);

const isText = (value: unknown): value is string => typeof value === 'string';
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText);

/** Whoever asked for an address would go on with another one, so nothing is passed over. */
function texts(where: string, value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!isTexts(value)) throw bad(`${where} must be a list of addresses`, value);
  return value;
}

/** Of runtimes; without it their capabilities would be lost in silence. */
function runtimeOf(conf: Json): Json {
  const given = conf.runtimeConfig ?? {};
  if (!isObject(given)) throw bad('runtimeConfig must be an object', given);
  return given;
}

/** `args` is a convention of others too, so that odd ones are none of ours. */
const inlineOf = (conf: Json): Json => (isObject(conf.args) && isObject(conf.args.cni) ? conf.args.cni : {});

type Args = ReadonlyMap<string, string>;

function requestedIps(runtime: Json, inline: Json, args: Args): readonly Ip[] {
  const asked = texts('runtimeConfig.ips', runtime.ips);
  const all = [...(args.get('IP')?.split(',') ?? []), ...texts('args.cni.ips', inline.ips), ...asked];
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
function requestedMac(runtime: Json, inline: Json, args: Args): string | undefined {
  const given = [runtime.mac, inline.mac, args.get('MAC')].find(mac => mac !== undefined && mac !== '');
  if (given === undefined) return undefined;
  const mac = isText(given) ? given.toLowerCase().replaceAll('-', ':') : '';
  if (macFault(mac))
    throw new CniError(
      CODES.badConfig,
      `the MAC asked for, ${JSON.stringify(given)}, cannot be a pod's`,
      `it must be six bytes in hex, of one receiver, and not the bridge's, ${BRIDGE_MAC}`,
    );
  return mac;
}

function requestedPorts({ portMappings }: Json): readonly PortMapping[] {
  const list = portMappings ?? [];
  if (!Array.isArray(list)) throw bad('portMappings must be a list', list);
  return list.flatMap(mapping => parsePort(mapping) ?? []);
}

/** What is odd in it is left out: in a result, no runtime could read it. */
export function dnsOf(value: unknown): Dns {
  const { nameservers, domain, search, options } = isObject(value) ? value : {};
  return {
    ...(isTexts(nameservers) && { nameservers }),
    ...(isText(domain) && { domain }),
    ...(isTexts(search) && { search }),
    ...(isTexts(options) && { options }),
  };
}

/** `args`: those of CNI_ARGS. */
export function wishesOf(conf: Json, args: Args): Wishes {
  const [runtime, inline] = [runtimeOf(conf), inlineOf(conf)];
  return {
    requested: requestedIps(runtime, inline, args),
    mac: requestedMac(runtime, inline, args),
    ports: requestedPorts(runtime),
    limits: parseLimits(runtime.bandwidth),
    dns: dnsOf(conf.dns),
  };
}
