/** The resources that weft uses, and how their paths are read. */
export type Resource = {
  readonly plural: string;
  readonly kind: string;
  readonly apiVersion: string;
  /** Before namespaces or the plural. */
  readonly prefix: string;
  readonly namespaced: boolean;
};

const core = { apiVersion: 'v1', prefix: '/api/v1' } as const;
const networking = { apiVersion: 'networking.k8s.io/v1', prefix: '/apis/networking.k8s.io/v1' } as const;

export const RESOURCES: readonly Resource[] = [
  { ...core, plural: 'nodes', kind: 'Node', namespaced: false },
  { ...core, plural: 'namespaces', kind: 'Namespace', namespaced: false },
  { ...core, plural: 'pods', kind: 'Pod', namespaced: true },
  { ...core, plural: 'events', kind: 'Event', namespaced: true },
  { ...core, plural: 'configmaps', kind: 'ConfigMap', namespaced: true },
  { ...networking, plural: 'networkpolicies', kind: 'NetworkPolicy', namespaced: true },
];

export type Target = {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
};

/** A path as what it names; undefined where nothing is there. */
export function parsePath(path: string): Target | undefined {
  for (const resource of RESOURCES) {
    if (!path.startsWith(`${resource.prefix}/`)) continue;
    const rest = path
      .slice(resource.prefix.length + 1)
      .split('/')
      .map(decodeURIComponent);
    const inNamespace = resource.namespaced && rest[0] === 'namespaces' && rest.length >= 3;
    const [plural, name, subresource, ...more] = inNamespace ? rest.slice(2) : rest;
    if (plural !== resource.plural || more.length > 0) continue;
    // /namespaces/NAME/pods is about pods, and another resource's turn.
    if (plural === 'namespaces' && subresource !== undefined && subresource !== 'status') continue;
    return { resource, namespace: inNamespace ? rest[1] : undefined, name: name || undefined, subresource };
  }
  return undefined;
}
