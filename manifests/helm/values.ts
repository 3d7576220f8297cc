/** The chart's values: name, meaning, schema and default of each, and where in the manifests it goes. */
import type { V1Container, V1DaemonSet } from '@kubernetes/client-node';
import { defaults, fields } from '../../config.ts';
import { agent } from '../agent.ts';
import { AGENT, CONFIG_MAP, IMAGE, WIREGUARD } from '../names.ts';
import { SHOWN_SETTINGS } from '../settings.ts';
import { wireguard } from '../wireguard.ts';
import { block, type Hole, inline, type Path, type Value } from './holes.ts';

const POD: Path = ['spec', 'template', 'spec'];
const CONTAINER: Path = [...POD, 'containers', 0];

const template = (manifest: unknown) =>
  (manifest as V1DaemonSet).spec?.template.spec as NonNullable<V1DaemonSet['spec']>['template']['spec'];
const agentPod = template(agent[0]?.object);
const agentContainer = agentPod?.containers[0] as V1Container;
const wireguardContainer = template(wireguard[0]?.object)?.containers[0] as V1Container;

const object = { type: 'object' } as const;
const string = { type: 'string' } as const;
const list = { type: 'array' } as const;

const config = {
  type: 'object',
  additionalProperties: false,
  properties: Object.fromEntries(
    Object.entries(fields).map(([name, { parse, doc }]) => [name, { description: doc, ...parse.schema }]),
  ),
} as const;

const [repository = '', tag = ''] = IMAGE.split(/:(?=[^:]*$)/);

/** In the order in which values.yaml has them. */
export const values: readonly Value[] = [
  {
    name: 'config',
    schema: config,
    default: SHOWN_SETTINGS,
    doc: 'Settings of the agents, as docs/settings.md lists them. Set clusterCidrs: then no pod address ever leaves a node in clear. A change restarts the agents one by one; pods notice nothing.',
  },
  {
    name: 'image.repository',
    schema: string,
    default: repository,
    doc: 'Where the image is, or the name under which you brought it to the nodes.',
  },
  {
    name: 'image.tag',
    schema: string,
    default: '',
    doc: `Version of the image. Empty: the chart’s own, ${tag}.`,
  },
  {
    name: 'image.pullPolicy',
    schema: { enum: ['Always', 'IfNotPresent', 'Never'] },
    default: agentContainer.imagePullPolicy,
    doc: 'When to pull the image.',
  },
  {
    name: 'imagePullSecrets',
    schema: list,
    default: [],
    doc: 'Secrets for a private registry: [{name: x}].',
  },
  {
    name: 'wireguardGo.enabled',
    schema: { type: 'boolean' },
    default: false,
    doc: 'Also run wireguard-go, on nodes whose kernel has no WireGuard. Privileged, since /dev/net/tun needs it.',
  },
  {
    name: 'wireguardGo.env',
    schema: list,
    default: wireguardContainer.env,
    doc: 'Environment of wireguard-go. GOMEMLIMIT=64MiB saves memory on small nodes at half the speed.',
  },
  {
    name: 'wireguardGo.resources',
    schema: object,
    default: wireguardContainer.resources,
    doc: 'Set no memory limit: to be killed for want of memory would cut the node off.',
  },
  {
    name: 'resources',
    schema: object,
    default: agentContainer.resources,
    doc: 'Of the agent, for 1,000 nodes. No CPU limit: throttling would only make pods start late.',
  },
  {
    name: 'nodeSelector',
    schema: object,
    default: agentPod?.nodeSelector,
    doc: 'Nodes that weft serves. Pods of the cluster reach only pods of such nodes.',
  },
  {
    name: 'tolerations',
    schema: list,
    default: agentPod?.tolerations,
    doc: 'Everything, since a node is not ready before it has a network.',
  },
  {
    name: 'priorityClassName',
    schema: string,
    default: agentPod?.priorityClassName,
    doc: 'Of both DaemonSets.',
  },
  { name: 'podAnnotations', schema: object, default: {}, doc: 'More annotations on the agents’ pods.' },
  {
    name: 'seLinuxOptions',
    schema: object,
    default: agentContainer.securityContext?.seLinuxOptions,
    doc: 'Counts only where SELinux is enforced; there an ordinary container may not write to the host paths.',
  },
];

const setting = (name: 'healthAddress' | 'healthPort' | 'cniBinDir' | 'cniConfDir'): string =>
  `.Values.config.${name} | default ${JSON.stringify(defaults()[name])}`;

const agentSet = `DaemonSet/${AGENT}`;
const wireguardSet = `DaemonSet/${WIREGUARD}`;

const IMAGE_TEMPLATE = '"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"';

const probes = ['startupProbe', 'readinessProbe', 'livenessProbe'].flatMap((probe): readonly Hole[] => [
  {
    object: agentSet,
    at: [...CONTAINER, probe, 'httpGet', 'host'],
    template: inline(`${setting('healthAddress')} | quote`),
  },
  {
    object: agentSet,
    at: [...CONTAINER, probe, 'httpGet', 'port'],
    template: inline(`${setting('healthPort')} | int`),
  },
]);

const both = (at: Path, text: Hole['template']): readonly Hole[] =>
  [agentSet, wireguardSet].map(name => ({ object: name, at, template: text }));

const directories = (['cniBinDir', 'cniConfDir'] as const).flatMap((name): readonly Hole[] => {
  const path = defaults()[name];
  const volume = agentPod?.volumes?.findIndex(v => v.hostPath?.path === path) ?? -1;
  const mount = agentContainer.volumeMounts?.findIndex(m => m.mountPath === path) ?? -1;
  const text = inline(`${setting(name)} | quote`);
  return [
    { object: agentSet, at: [...POD, 'volumes', volume, 'hostPath', 'path'], template: text },
    { object: agentSet, at: [...CONTAINER, 'volumeMounts', mount, 'mountPath'], template: text },
  ];
});

const podAnnotations = (indent: number): string => {
  const pad = ' '.repeat(indent);
  return `\n${pad}checksum/config: {{ toJson .Values.config | sha256sum }}\n${pad}{{- with .Values.podAnnotations }}{{- toYaml . | nindent ${indent} }}{{- end }}`;
};

export const holes: readonly Hole[] = [
  {
    object: `ConfigMap/${CONFIG_MAP}`,
    at: ['data', 'config.json'],
    template: indent => `|\n${' '.repeat(indent)}{{- toPrettyJson .Values.config | nindent ${indent} }}`,
  },
  ...both([...CONTAINER, 'image'], () => IMAGE_TEMPLATE),
  ...both([...CONTAINER, 'imagePullPolicy'], inline('.Values.image.pullPolicy')),
  ...both([...POD, 'imagePullSecrets'], block('imagePullSecrets')),
  ...both([...POD, 'nodeSelector'], block('nodeSelector')),
  ...both([...POD, 'tolerations'], block('tolerations')),
  ...both([...POD, 'priorityClassName'], inline('.Values.priorityClassName')),
  { object: agentSet, at: ['spec', 'template', 'metadata', 'annotations'], template: podAnnotations },
  { object: agentSet, at: [...CONTAINER, 'resources'], template: block('resources') },
  {
    object: agentSet,
    at: [...CONTAINER, 'securityContext', 'seLinuxOptions'],
    template: block('seLinuxOptions'),
  },
  ...probes,
  ...directories,
  { object: wireguardSet, at: [...CONTAINER, 'env'], template: block('wireguardGo.env') },
  { object: wireguardSet, at: [...CONTAINER, 'resources'], template: block('wireguardGo.resources') },
];
