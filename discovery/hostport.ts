/** `host:port` of a force-endpoint: a literal address or a DNS name. Pure. */
import { familyOf, parseIp } from '../ip.ts';
import type { Ip, Result } from '../types.ts';
import { isReachable } from './scope.ts';
import type { HostPort } from './types.ts';

const fail = (error: string): Result<never> => ({ ok: false, error });

const SHAPE = 'is not an endpoint such as node1.example.org:51820, 203.0.113.7:51820 or [2001:db8::1]:51820';

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** RFC 1123: labels of letters, digits and inner hyphens, 253 characters; the last label is not a number. */
function dnsNameError(name: string): string | undefined {
  if (name.length > 253) return `has a host name of ${name.length} characters; DNS allows 253`;
  const labels = name.split('.');
  const bad = labels.find(label => !LABEL.test(label));
  if (bad !== undefined)
    return `has the label ${JSON.stringify(bad)} in its host name; a label is 1 to 63 letters, digits and inner hyphens (other scripts as xn--…)`;
  if (/^\d+$/.test(labels.at(-1) as string))
    return `has ${JSON.stringify(name)} for a host: neither an IP address nor a DNS name`;
  return undefined;
}

function parseHost(text: string, bracketed: boolean): Result<string> {
  const ip = parseIp(text);
  if (!ip.ok) {
    const name = text.toLowerCase().replace(/\.$/, '');
    const error = bracketed ? SHAPE : dnsNameError(name);
    return error === undefined ? { ok: true, value: name } : fail(error);
  }
  if (bracketed !== text.includes(':')) return fail(SHAPE);
  // Loopback stays allowed: some people run a local forwarder per peer.
  if (!isReachable(ip.value) && !/^(?:127\.|::1$)/.test(ip.value))
    return fail(`has the address ${ip.value}, to which no other host answers`);
  return { ok: true, value: ip.value };
}

/** Canonical: names in lower case without final dot, addresses as RFC 5952 has them. */
export function parseHostPort(text: string): Result<HostPort> {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (!match) return fail(SHAPE);
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return fail(`has port ${match[3]}; ports are 1 to 65535`);
  const host = parseHost(match[1] ?? match[2] ?? '', match[1] !== undefined);
  return host.ok ? { ok: true, value: { host: host.value, port } } : host;
}

export const printHostPort = ({ host, port }: HostPort): string =>
  familyOf(host as Ip) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
