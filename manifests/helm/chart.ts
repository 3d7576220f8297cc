/** The Helm chart: the same objects as weft.yaml, with the holes of values.ts in them. Pure. */
import { Document, isPair, isScalar, visit } from 'yaml';
import { VERSION } from '../../version.ts';
import { admission } from '../admission.ts';
import { agent } from '../agent.ts';
import { AGENT, AGENT_USER, NAMESPACE } from '../names.ts';
import { rights } from '../rights.ts';
import { settings } from '../settings.ts';
import { wireguard } from '../wireguard.ts';
import { type Manifest, renderYaml } from '../yaml.ts';
import { objectName, type Path, valueAt, withValue } from './holes.ts';
import { holes, values } from './values.ts';

const NOTE = 'Made by `npm run manifests` from manifests/*.ts.';

/** Stands in for a hole while the YAML is made; plain in YAML, so that nothing quotes it. */
const token = (index: number): string => `WEFT-HOLE-${index}-`;

const release = '{{ .Release.Namespace }}';

const withHoles = (manifest: Manifest): Manifest => {
  const name = objectName(manifest);
  const object = holes.reduce<unknown>((changed, hole, index) => {
    if (hole.object !== name) return changed;
    valueAt(changed, hole.at.slice(0, -1));
    return withValue(changed, hole.at, token(index));
  }, manifest.object);
  return { ...manifest, object: object as object };
};

const fillHoles = (text: string): string =>
  text.replaceAll(/^( *)(- )?([^\n]*?:) WEFT-HOLE-(\d+)-$/gm, (_, pad: string, dash = '', key, index) => {
    const made = holes[Number(index)]?.template(pad.length + dash.length + 2) ?? '';
    return `${pad}${dash}${key}${made.startsWith('\n') ? '' : ' '}${made}`;
  });

const inNamespace = (text: string): string =>
  text
    .replaceAll(AGENT_USER, `system:serviceaccount:${release}:${AGENT}`)
    .replaceAll(new RegExp(`^( *)namespace: ${NAMESPACE}$`, 'gm'), `$1namespace: ${release}`);

const template = (manifests: readonly Manifest[]): string =>
  inNamespace(fillHoles(renderYaml(NOTE, manifests.map(withHoles))));

const onlyIf = (condition: string, text: string): string => `{{- if ${condition} }}\n${text}{{- end }}\n`;

/** Helm makes the namespace, or it is there. */
const withoutNamespace = rights.filter(manifest => !objectName(manifest).startsWith('Namespace/'));

/** Dotted names → nested object. */
const nested = (pairs: readonly (readonly [string, unknown])[]): Record<string, unknown> =>
  pairs.reduce<Record<string, unknown>>((whole, [name, value]) => {
    const path: Path = name.split('.');
    const parents = path.slice(0, -1).map((_, i) => path.slice(0, i + 1));
    const made = parents.reduce<unknown>((o, parent) => {
      try {
        valueAt(o, parent);
        return o;
      } catch {
        return withValue(o, parent, {});
      }
    }, whole);
    return withValue(made, path, value) as Record<string, unknown>;
  }, {});

const wrap = (text: string): string =>
  Array.from(text.matchAll(/(\S.{0,99}|\S+)(?=\s|$)/g), ([line]) => ` ${line}`).join('\n');

function valuesYaml(): string {
  const document = new Document(nested(values.map(v => [v.name, v.default])));
  const docs = new Map(values.map(v => [v.name, v.doc]));
  visit(document, {
    Pair: (_, pair, parents) => {
      const names = [...parents, pair].flatMap(p =>
        isPair(p) && isScalar(p.key) ? [String(p.key.value)] : [],
      );
      const doc = docs.get(names.join('.'));
      if (doc !== undefined && isScalar(pair.key)) pair.key.commentBefore = wrap(doc);
    },
  });
  return `# ${NOTE}\n${document.toString({ lineWidth: 0 })}`;
}

function schemaOf(parts: readonly (readonly [readonly string[], unknown])[]): object {
  const groups = Map.groupBy(parts, ([path]) => path[0] as string);
  const properties = [...groups].map(([key, group]) => {
    const [first] = group;
    const leaf = group.length === 1 && first?.[0].length === 1;
    return [key, leaf ? first?.[1] : schemaOf(group.map(([path, s]) => [path.slice(1), s] as const))];
  });
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) };
}

const schema = (): string => {
  const own = values.map(v => [v.name.split('.'), { description: v.doc, ...v.schema }] as const);
  const whole = schemaOf([...own, [['global'], { type: 'object' }]]);
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', ...whole }, undefined, 2)}\n`;
};

const CHART = {
  apiVersion: 'v2',
  name: 'weft',
  description: 'A CNI for clusters whose nodes share no network: an encrypted mesh that builds itself.',
  type: 'application',
  version: VERSION,
  appVersion: VERSION,
  kubeVersion: '>=1.30.0-0',
};

const NOTES = `weft is being installed as {{ .Release.Name }}. Nodes become Ready once their agent runs:

  kubectl -n {{ .Release.Namespace }} rollout status daemonset ${AGENT}
{{- if not .Values.config.clusterCidrs }}

config.clusterCidrs is not set, so the pod networks are those of the Nodes that are known. Set it, and no
pod address ever leaves a node in clear, not even towards a node that is not known yet.
{{- end }}
`;

const cell = (text: string): string => text.replaceAll('|', '\\|');

const readme = (): string =>
  [
    '# weft’s Helm chart',
    '<!-- Made by `npm run manifests` from manifests/helm/*.ts. -->',
    '',
    'The same objects as [weft.yaml](../../weft.yaml), from the same source. The image must be on the nodes or in a registry of yours: [manifests/README.md](../../README.md).',
    '',
    '```',
    `helm install weft manifests/helm/weft --namespace ${NAMESPACE} --create-namespace \\`,
    "  --set 'config.clusterCidrs={10.42.0.0/16}'",
    '```',
    '',
    `Where Pod Security is enforced, first: \`kubectl create namespace ${NAMESPACE}\` and \`kubectl label namespace ${NAMESPACE} pod-security.kubernetes.io/enforce=privileged\`, since a network agent works in the host’s network. One release in a cluster: the admission policy and the roles have fixed names.`,
    '',
    '| value | default | meaning |',
    '| --- | --- | --- |',
    ...values.map(v => `| \`${v.name}\` | \`${JSON.stringify(v.default)}\` | ${cell(v.doc)} |`),
    '',
  ].join('\n');

/** File beneath manifests/helm/weft → its text. */
export const chart = (): Readonly<Record<string, string>> => ({
  'Chart.yaml': new Document(CHART).toString({ lineWidth: 0 }),
  'README.md': readme(),
  'values.yaml': valuesYaml(),
  'values.schema.json': schema(),
  'templates/NOTES.txt': NOTES,
  'templates/rights.yaml': template(withoutNamespace),
  'templates/admission.yaml': template(admission),
  'templates/settings.yaml': template(settings),
  'templates/agent.yaml': template(agent),
  'templates/wireguard.yaml': onlyIf('.Values.wireguardGo.enabled', template(wireguard)),
});
