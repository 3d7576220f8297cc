/** What an agent may ask of the API server: the ClusterRole of the manifests is made from it, and the doctor asks for each. */
export type Right = {
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly verb: string;
  /** What does not work without it. */
  readonly lost: string;
};

const of = (group: string, resource: string, lost: string, ...verbs: readonly string[]): readonly Right[] =>
  verbs.map(verb => ({ group, resource, verb, lost }));

export const RIGHTS: readonly Right[] = [
  ...of(
    '',
    'nodes',
    'the mesh, whose agents know of each other by their Nodes',
    'get',
    'list',
    'watch',
    'patch',
  ),
  ...of('', 'pods', 'network policies', 'list', 'watch'),
  ...of('', 'namespaces', 'network policies', 'list', 'watch'),
  ...of('networking.k8s.io', 'networkpolicies', 'network policies', 'list', 'watch'),
  {
    group: '',
    resource: 'nodes',
    subresource: 'status',
    verb: 'patch',
    lost: 'pods on Nodes that a cloud’s controller calls NetworkUnavailable, which nobody clears then',
  },
  ...of('', 'events', 'Events on the Node', 'create'),
];
