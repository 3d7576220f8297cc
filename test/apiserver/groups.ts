/** The server's own description: versions, groups, resources and verbs. Pure. */
import { RESOURCES, type Resource } from './resources.ts';

const VERBS = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'] as const;

const described = (resource: Resource) => [
  {
    name: resource.plural,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs: VERBS,
    shortNames: resource.shortNames,
  },
  ...(resource.status
    ? [
        {
          name: `${resource.plural}/status`,
          singularName: '',
          namespaced: resource.namespaced,
          kind: resource.kind,
          verbs: ['get', 'patch', 'update'],
        },
      ]
    : []),
];

const groupNames = [...new Set(RESOURCES.map(({ group }) => group))].filter(group => group !== '');

const groupOf = (name: string) => {
  const version = { groupVersion: `${name}/v1`, version: 'v1' };
  return { name, versions: [version], preferredVersion: version };
};

const resourceList = (apiVersion: string) => ({
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: apiVersion,
  resources: RESOURCES.filter(resource => resource.apiVersion === apiVersion).flatMap(described),
});

const VERSION = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.3',
  gitCommit: 'embedded',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'none',
  platform: 'linux/amd64',
};

const DOCUMENTS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['/version', VERSION],
  ['/api', { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] }],
  ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: groupNames.map(groupOf) }],
  ['/api/v1', resourceList('v1')],
  ...groupNames.flatMap((name): [string, unknown][] => [
    [`/apis/${name}`, { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(name) }],
    [`/apis/${name}/v1`, resourceList(`${name}/v1`)],
  ]),
]);

/** The document at a path, where one is. */
export const documentAt = (path: string): unknown => DOCUMENTS.get(path.replace(/(?<=.)\/$/, ''));
