/**
 * The agent's settings: one JSON file, defaults for all of it, every error said at once.
 * Pure; main.ts reads the file. The manifests and the docs print this table.
 */
import { BRIDGE, DEFAULT_KEEPALIVE, HEALTH_PORT, WG_LINK, WG_PORT } from './constants.ts';
import { parseCidr } from './ip.ts';
import type { Cidr, Result } from './types.ts';

export type Config = {
  readonly clusterCidrs: readonly Cidr[];
  readonly apiServer: string | undefined;
  readonly listenPort: number;
  /** Seconds; 0 is off. */
  readonly keepalive: number;
  /** Of the tunnel; undefined: the underlay's minus 80. */
  readonly mtu: number | undefined;
  readonly masquerade: boolean;
  readonly unmasked: readonly Cidr[];
  readonly directLinks: readonly string[];
  readonly antiSpoofing: boolean;
  readonly networkPolicy: boolean;
  readonly policyKeepConnections: boolean;
  readonly policyLog: boolean;
  readonly healthAddress: string;
  readonly healthPort: number;
  readonly peerMetrics: 'all' | 'problem' | 'none';
  readonly cniBinDir: string;
  readonly cniConfDir: string;
  readonly logLevel: string;
};

/** How a value is read, and the same as JSON Schema, for the Helm chart's values. */
type Parse = { (v: unknown): Result<unknown>; readonly schema: Readonly<Record<string, unknown>> };

type Field = {
  readonly default: unknown;
  readonly parse: Parse;
  readonly doc: string;
};

const ok = <T>(value: T): Result<T> => ({ ok: true, value });
const fail = (error: string): Result<never> => ({ ok: false, error });

const parser = (schema: Parse['schema'], parse: (v: unknown) => Result<unknown>): Parse =>
  Object.assign(parse, { schema });

const integer = (minimum: number, maximum: number): Parse =>
  parser({ type: 'integer', minimum, maximum }, v =>
    Number.isInteger(v) && (v as number) >= minimum && (v as number) <= maximum
      ? ok(v)
      : fail(`is ${JSON.stringify(v)}, but must be a whole number from ${minimum} to ${maximum}`),
  );

const bool = parser({ type: 'boolean' }, v =>
  typeof v === 'boolean' ? ok(v) : fail(`is ${JSON.stringify(v)}, but must be true or false`),
);

const text = (pattern: RegExp, shape: string): Parse =>
  parser({ type: 'string', pattern: pattern.source }, v =>
    typeof v === 'string' && pattern.test(v) ? ok(v) : fail(`is ${JSON.stringify(v)}, but must be ${shape}`),
  );

const oneOf = (...words: readonly string[]): Parse =>
  parser({ enum: words }, v =>
    typeof v === 'string' && words.includes(v)
      ? ok(v)
      : fail(`is ${JSON.stringify(v)}, but must be ${words.join(' or ')}`),
  );

const list = (item: Parse): Parse =>
  parser({ type: 'array', items: item.schema }, v => {
    if (!Array.isArray(v)) return fail(`is ${JSON.stringify(v)}, but must be a list`);
    const items = v.map(item);
    const bad = items.find(i => !i.ok);
    return bad ?? ok(items.map(i => (i as { value: unknown }).value));
  });

const optional = (parse: Parse): Parse =>
  parser({ anyOf: [parse.schema, { type: 'null' }, { const: '' }] }, v =>
    v === undefined || v === null || v === '' ? ok(undefined) : parse(v),
  );

const cidr = parser({ type: 'string' }, v =>
  typeof v === 'string' ? parseCidr(v) : fail(`${JSON.stringify(v)} is not a CIDR such as 10.42.0.0/16`),
);

const path = text(/^\/\P{Cc}*$/u, 'an absolute path');
const link = text(/^[^\s/:]{1,15}$/, 'the name of a network interface, such as eth0');

/** Every setting: its default, how it is read, and the sentence that documents it. */
export const fields = {
  clusterCidrs: {
    default: [],
    parse: list(cidr),
    doc: 'Pod networks of the whole cluster, both families. Empty: the union of all Nodes’ podCIDRs. Set it: then no pod address ever leaves a node in clear, not even towards a node that is not known yet.',
  },
  apiServer: {
    default: undefined,
    parse: optional(text(/^https?:\/\/\S+$/, 'a URL such as https://127.0.0.1:6444')),
    doc: 'URL of the API server for nodes that cannot reach the in-cluster address (k3s: https://127.0.0.1:6444).',
  },
  listenPort: { default: WG_PORT, parse: integer(1, 65535), doc: 'UDP port of WireGuard on every node.' },
  keepalive: {
    default: DEFAULT_KEEPALIVE,
    parse: integer(0, 65535),
    doc: 'Seconds between keepalives to each peer; 0 turns them off. A Node’s annotation overrides it.',
  },
  mtu: {
    default: undefined,
    parse: optional(integer(1280, 65455)),
    doc: 'MTU of the tunnel and of new pods. Unset: that of the underlay minus 80.',
  },
  masquerade: {
    default: true,
    parse: bool,
    doc: 'Give packets from pods to the world outside the cluster the node’s address.',
  },
  unmasked: {
    default: [],
    parse: list(cidr),
    doc: 'Destinations outside the cluster that pods reach with their own address, unencrypted.',
  },
  directLinks: {
    default: [],
    parse: list(link),
    doc: `Links by which pods may be reached without the tunnel (a home LAN that has static routes to pods). ${BRIDGE} and ${WG_LINK} always are. Pods keep their address by them only towards unmasked destinations.`,
  },
  antiSpoofing: {
    default: true,
    parse: bool,
    doc: 'Drop what a pod sends with an address or MAC that is not its own. Off for keepalived in pods.',
  },
  networkPolicy: {
    default: true,
    parse: bool,
    doc: 'Enforce NetworkPolicies. Off: weft watches none and removes its rules, for clusters where another controller does it (k3s without --disable-network-policy).',
  },
  policyKeepConnections: {
    default: false,
    parse: bool,
    doc: 'Let connections live on that a changed policy no longer allows. Off: they are cut.',
  },
  policyLog: {
    default: false,
    parse: bool,
    doc: 'Say in the log which connections NetworkPolicies deny, with pods and policies: each once until it has been silent for a minute, at most 20 every 5 s.',
  },
  healthAddress: {
    default: '127.0.0.1',
    parse: text(/^[0-9a-fA-F.:]+$/, 'an IP address'),
    doc: 'Address of /healthz, /readyz and /metrics.',
  },
  healthPort: {
    default: HEALTH_PORT,
    parse: integer(1, 65535),
    doc: 'Port of /healthz, /readyz and /metrics.',
  },
  peerMetrics: {
    default: 'all',
    parse: oneOf('all', 'problem', 'none'),
    doc: 'Peers that have series of their own at /metrics: all (of more than 200 only those in trouble), problem: only those that are not established, or none.',
  },
  cniBinDir: { default: '/opt/cni/bin', parse: path, doc: 'Where the CNI binary is installed.' },
  cniConfDir: { default: '/etc/cni/net.d', parse: path, doc: 'Where the CNI configuration is installed.' },
  logLevel: {
    default: 'info',
    parse: text(/^(trace|debug|info|warn|error|fatal)$/, 'trace, debug, info, warn, error or fatal'),
    doc: 'How much is logged.',
  },
} satisfies { readonly [K in keyof Config]: Field };

const names = Object.keys(fields) as (keyof Config)[];

/** The default of every setting. */
export const defaults = (): Config =>
  Object.fromEntries(names.map(n => [n, fields[n].default])) as unknown as Config;

/** Parsed JSON → settings, or every error of it, a line each. Absent settings take their defaults. */
export function parseConfig(json: unknown): Result<Config> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return fail('the configuration must be a JSON object, such as {"clusterCidrs": ["10.42.0.0/16"]}');
  const given = json as Record<string, unknown>;
  const errors: string[] = [];
  for (const key of Object.keys(given))
    if (!(key in fields)) errors.push(`${key}: there is no such setting; known are ${names.join(', ')}`);
  const values = names.map(name => {
    if (!(name in given)) return [name, fields[name].default];
    const value = fields[name].parse(given[name]);
    if (!value.ok) errors.push(`${name}: ${value.error}`);
    return [name, value.ok ? value.value : undefined];
  });
  return errors.length > 0 ? fail(errors.join('\n')) : ok(Object.fromEntries(values) as Config);
}
