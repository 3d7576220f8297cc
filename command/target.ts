/** `POD`, `NAMESPACE/POD`, a Service or an address, and a port: what `weft explain` is asked about. Pure. */
import { parseIp } from '../ip.ts';
import type { Protocol } from '../policy/types.ts';
import type { Ip } from '../types.ts';
import { UsageError } from './types.ts';

export type Who =
  | { readonly kind: 'ip'; readonly ip: Ip }
  | { readonly kind: 'pod'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'service'; readonly namespace: string; readonly name: string };

export type Target = {
  readonly who: Who;
  /** A name: of a Service's port. */
  readonly port: number | string | undefined;
  /** Undefined: not said. */
  readonly protocol: Protocol | undefined;
};

const SHAPE = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]]+?))(?::(\d+|[a-z0-9][a-z0-9-]*)(?:\/(tcp|udp|sctp))?)?$/i;
const POD = /^(?:([a-z0-9][a-z0-9-]*)\/)?([a-z0-9][a-z0-9.-]*)$/;
const SERVICE = /^(?:svc|service)\/(?:([a-z0-9][a-z0-9-]*)\/)?([a-z0-9][a-z0-9-]*)$/;
/** As cluster DNS has it, whatever the cluster's own domain. */
const SERVICE_DNS = /^([a-z0-9][a-z0-9-]*)\.([a-z0-9][a-z0-9-]*)\.svc(?:\.[a-z0-9.-]+)?$/;

const hint =
  'say POD, NAMESPACE/POD, svc/NAME, svc/NAMESPACE/NAME or an address, and a port as in web-0:80, svc/web:http, 10.42.1.7:53/udp, [fd42::7]:443';

function named(name: string): Who | undefined {
  const [, serviceNamespace = 'default', service] = SERVICE.exec(name) ?? [];
  if (service !== undefined) return { kind: 'service', namespace: serviceNamespace, name: service };
  const [, dnsName, dnsNamespace = ''] = SERVICE_DNS.exec(name) ?? [];
  if (dnsName !== undefined) return { kind: 'service', namespace: dnsNamespace, name: dnsName };
  const [, namespace = 'default', pod] = POD.exec(name) ?? [];
  return pod === undefined ? undefined : { kind: 'pod', namespace, name: pod };
}

function portOf(text: string, port: string | undefined): Target['port'] {
  if (port === undefined || !/^\d+$/.test(port)) return port;
  const number = Number(port);
  if (number >= 1 && number <= 65_535) return number;
  throw new UsageError(`${text}: ports are 1 to 65535`);
}

/** Throws UsageError. */
export function parseTarget(text: string): Target {
  const bare = parseIp(text);
  if (bare.ok) return { who: { kind: 'ip', ip: bare.value }, port: undefined, protocol: undefined };
  const [, literal, name = '', written, protocol] = SHAPE.exec(text) ?? [];
  const port = portOf(text, written);
  const ip = parseIp(literal ?? name);
  const who: Who | undefined = ip.ok ? { kind: 'ip', ip: ip.value } : named(name);
  if (who === undefined || (literal !== undefined && !ip.ok))
    throw new UsageError(`${text} is no pod, no Service and no address: ${hint}`);
  if (typeof port === 'string' && who.kind === 'pod')
    throw new UsageError(`${text}: only a Service’s ports have names: say a number`);
  return { who, port, protocol: protocol?.toUpperCase() as Protocol | undefined };
}

export const whoText = (who: Who): string =>
  who.kind === 'ip' ? who.ip : `${who.kind === 'service' ? 'Service ' : ''}${who.namespace}/${who.name}`;
