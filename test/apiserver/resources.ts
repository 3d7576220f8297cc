/** The resources that weft uses, how their paths are read, and what the server says of them. Pure. */
export type Resource = {
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly shortNames: readonly string[];
  /** '' for the core group. */
  readonly group: string;
  readonly apiVersion: string;
  /** Before namespaces or the plural. */
  readonly prefix: string;
  readonly namespaced: boolean;
  /** It has a status, written by a path of its own. */
  readonly status: boolean;
  /** It counts the changes of its spec. */
  readonly counted: boolean;
};

const core = { group: '', apiVersion: 'v1', prefix: '/api/v1' } as const;

const inGroup = (group: string) => ({ group, apiVersion: `${group}/v1`, prefix: `/apis/${group}/v1` });

const plain = { namespaced: true, status: false, counted: false } as const;

export const NODES: Resource = {
  ...core,
  plural: 'nodes',
  singular: 'node',
  kind: 'Node',
  shortNames: ['no'],
  namespaced: false,
  status: true,
  counted: false,
};

export const NAMESPACES: Resource = {
  ...core,
  plural: 'namespaces',
  singular: 'namespace',
  kind: 'Namespace',
  shortNames: ['ns'],
  namespaced: false,
  status: true,
  counted: false,
};

export const PODS: Resource = {
  ...core,
  plural: 'pods',
  singular: 'pod',
  kind: 'Pod',
  shortNames: ['po'],
  namespaced: true,
  status: true,
  counted: true,
};

/** Kept as core/v1 has them; events.k8s.io/v1 is another spelling. */
export const EVENTS: Resource = {
  ...core,
  ...plain,
  plural: 'events',
  singular: 'event',
  kind: 'Event',
  shortNames: ['ev'],
};

export const GROUP_EVENTS: Resource = { ...EVENTS, ...inGroup('events.k8s.io') };

export const CONFIGMAPS: Resource = {
  ...core,
  ...plain,
  plural: 'configmaps',
  singular: 'configmap',
  kind: 'ConfigMap',
  shortNames: ['cm'],
};

export const NETWORKPOLICIES: Resource = {
  ...inGroup('networking.k8s.io'),
  ...plain,
  counted: true,
  plural: 'networkpolicies',
  singular: 'networkpolicy',
  kind: 'NetworkPolicy',
  shortNames: ['netpol'],
};

export const RESOURCES: readonly Resource[] = [
  NODES,
  NAMESPACES,
  PODS,
  EVENTS,
  CONFIGMAPS,
  NETWORKPOLICIES,
  GROUP_EVENTS,
];

export type Target = {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: 'status' | undefined;
};

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

function targetOf(resource: Resource, rest: readonly string[]): Target | undefined {
  const inNamespace = resource.namespaced && rest[0] === 'namespaces' && rest.length >= 3;
  const [plural, name, subresource, ...more] = inNamespace ? rest.slice(2) : rest;
  if (plural !== resource.plural || more.length > 0) return undefined;
  // Objects of a namespace have no other path than through it.
  if (resource.namespaced && !inNamespace && name !== undefined) return undefined;
  if (subresource !== undefined && !(subresource === 'status' && resource.status)) return undefined;
  return { resource, namespace: inNamespace ? rest[1] : undefined, name: name || undefined, subresource };
}

/**
 * A path as what it names. `unknown`: in a group and version that is there, but nothing is;
 * undefined: not even that.
 */
export function parsePath(path: string): Target | 'unknown' | undefined {
  const served = RESOURCES.filter(({ prefix }) => path.startsWith(`${prefix}/`));
  if (served.length === 0) return undefined;
  for (const resource of served) {
    const rest = path
      .slice(resource.prefix.length + 1)
      .split('/')
      .map(decode);
    const target = targetOf(resource, rest);
    if (target !== undefined) return target;
  }
  return 'unknown';
}
