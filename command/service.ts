/** A Service and its EndpointSlices, as the API server has them → who gets a packet to it. Pure. */
import { familyOf, parseIp } from '../ip.ts';
import type { Protocol } from '../policy/types.ts';
import type { Ip } from '../types.ts';

export type ServicePort = {
  readonly name: string | undefined;
  readonly port: number;
  readonly protocol: Protocol;
};

export type Service = {
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  /** Empty: headless, or an ExternalName. */
  readonly clusterIps: readonly Ip[];
  /** Further addresses at which kube-proxy takes packets for it: externalIPs, load balancers. */
  readonly otherIps: readonly Ip[];
  readonly externalName: string | undefined;
  readonly ports: readonly ServicePort[];
  /** internalTrafficPolicy: Local. */
  readonly local: boolean;
  /** `app=web`; undefined: somebody else writes its endpoints. */
  readonly selector: string | undefined;
};

export type Backend = {
  readonly ip: Ip;
  readonly port: number;
  readonly node: string | undefined;
  /** `default/web-0`. */
  readonly pod: string | undefined;
  readonly ready: boolean;
  /** It ends, and answers until then. */
  readonly draining: boolean;
  /** It is for nodes of some zones first. */
  readonly hinted: boolean;
};

type Json = Readonly<Record<string, unknown>>;
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;

const ips = (values: readonly unknown[]): readonly Ip[] =>
  [...new Set(values.filter(v => typeof v === 'string'))].flatMap(value => {
    const ip = parseIp(value);
    return ip.ok ? [ip.value] : [];
  });

const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const protocolOf = (value: unknown): Protocol => PROTOCOLS.find(p => p === value) ?? 'TCP';

export function parseService(json: unknown): Service {
  const { metadata, spec, status } = record(json);
  const s = record(spec);
  const balancers = list(record(record(status).loadBalancer).ingress).map(i => record(i).ip);
  const selector = Object.entries(record(s.selector)).map(([key, value]) => `${key}=${String(value)}`);
  return {
    namespace: text(record(metadata).namespace) ?? 'default',
    name: text(record(metadata).name) ?? '',
    type: text(s.type) ?? 'ClusterIP',
    clusterIps: ips([s.clusterIP, ...list(s.clusterIPs)]),
    otherIps: ips([...list(s.externalIPs), ...balancers]),
    externalName: text(s.externalName),
    ports: list(s.ports)
      .map(record)
      .map(p => ({ name: text(p.name), port: Number(p.port), protocol: protocolOf(p.protocol) })),
    local: s.internalTrafficPolicy === 'Local',
    selector: selector.length === 0 ? undefined : selector.join(','),
  };
}

function endpoint(json: unknown, port: number): readonly Backend[] {
  const { addresses, conditions, nodeName, targetRef, hints } = record(json);
  const c = record(conditions);
  const ref = record(targetRef);
  // By their contract kube-proxy takes the first address of each.
  return ips(list(addresses).slice(0, 1)).map(ip => ({
    ip,
    port,
    node: text(nodeName),
    pod: ref.kind === 'Pod' ? `${String(ref.namespace)}/${String(ref.name)}` : undefined,
    ready: c.ready !== false,
    draining: c.terminating === true && c.serving !== false,
    hinted: list(record(hints).forZones).length > 0,
  }));
}

/** Each once, sorted. */
function once(found: readonly Backend[], family: 4 | 6): readonly Backend[] {
  const ofFamily = found.filter(({ ip }) => familyOf(ip) === family);
  const unique = new Map(ofFamily.map(backend => [`${backend.ip} ${backend.port}`, backend]));
  return [...unique.values()].sort((a, b) => (a.ip < b.ip ? -1 : Number(a.ip > b.ip)));
}

/** Of all slices of the Service, those for one of its ports and one family; each once, sorted. */
export function backendsOf(slices: readonly unknown[], port: ServicePort, family: 4 | 6): readonly Backend[] {
  const found = slices.map(record).flatMap(slice => {
    const match = list(slice.ports)
      .map(record)
      .find(p => text(p.name) === port.name && protocolOf(p.protocol) === port.protocol);
    return match === undefined ? [] : list(slice.endpoints).flatMap(e => endpoint(e, Number(match.port)));
  });
  return once(found, family);
}

/** As DNS has them for a headless Service: all of one family, each at the port that the client names. */
export const addressesOf = (slices: readonly unknown[], port: number, family: 4 | 6): readonly Backend[] =>
  once(
    slices.flatMap(slice => list(record(slice).endpoints)).flatMap(one => endpoint(one, port)),
    family,
  );

/** Its clients speak to its pods' addresses, which DNS gives them; kube-proxy has no part in it. */
export const isHeadless = ({ clusterIps, externalName }: Service): boolean =>
  clusterIps.length === 0 && externalName === undefined;

export type Choice = {
  /** Of these kube-proxy, or the client of a headless Service, takes one for each connection. */
  readonly chosen: readonly Backend[];
  /** How they were chosen, or why there are none. */
  readonly what: string;
};

const keyOf = ({ namespace, name }: Service): string => `${namespace}/${name}`;

const isLocal = (service: Service): boolean => service.local && !isHeadless(service);

function why(service: Service, all: readonly Backend[], node: string | undefined): string {
  const look = `kubectl -n ${service.namespace} get endpointslices -l kubernetes.io/service-name=${service.name}`;
  if (isLocal(service) && all.some(b => b.ready))
    return `its internalTrafficPolicy is Local, and no ready pod of it is on ${node ?? 'that node'}: run one there, or set it to Cluster`;
  if (all.length > 0) return `none of its ${all.length} endpoints is ready: why is said by ${look} -o yaml`;
  return service.selector === undefined
    ? `it has no selector, and nobody has written endpoints for it: ${look}`
    : `no pod with an address of this family matches its selector ${service.selector}: ${look}`;
}

/** As kube-proxy on `node` chooses: the ready ones, else those that end and still answer. DNS gives only ready ones. */
export function chooseBackends(service: Service, all: readonly Backend[], node: string | undefined): Choice {
  const headless = isHeadless(service);
  const near = isLocal(service) ? all.filter(b => b.node === node) : all;
  const ready = near.filter(b => b.ready);
  const chosen = ready.length > 0 || headless ? ready : near.filter(b => b.draining);
  if (chosen.length === 0)
    return { chosen, what: `Service ${keyOf(service)} has nobody to answer: ${why(service, all, node)}` };
  const notes = [
    ...(chosen.length < near.length ? [`${near.length - chosen.length} more not ready`] : []),
    ...(ready.length === 0 ? ['all of them end, and answer until then'] : []),
    ...(isLocal(service) ? [`only those on ${node ?? 'that node'}, by internalTrafficPolicy: Local`] : []),
    ...(!headless && chosen.every(b => b.hinted)
      ? ['those of the node’s own zone first, by their hints']
      : []),
  ];
  const note = notes.length === 0 ? '' : ` (${notes.join('; ')})`;
  const number = chosen.length === 1 ? 'one backend' : `one of ${chosen.length} backends for each connection`;
  const by = headless ? 'DNS gives' : 'kube-proxy chooses';
  return { chosen, what: `Service ${keyOf(service)}: ${by} ${number}${note}` };
}
