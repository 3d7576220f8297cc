/** The agent's settings as a ConfigMap, every setting documented above it from config.ts's own table. */
import type { V1ConfigMap } from '@kubernetes/client-node';
import { fields } from '../config.ts';
import { AGENT, CONFIG_MAP, labels, NAMESPACE } from './names.ts';
import type { Manifest } from './yaml.ts';

/** Key in the ConfigMap, and name of the file beneath /etc/weft. */
const CONFIG_FILE = 'config.json';

/** Shown because a user should set it; all others are left to the agent's defaults. */
export const SHOWN_SETTINGS = { clusterCidrs: fields.clusterCidrs.default };

/** Lines of at most 100 characters, or of one word. */
const wrap = (text: string): readonly string[] =>
  Array.from(text.matchAll(/(\S.{0,99}|\S+)(?=\s|$)/g), ([line]) => line);

const entry = ([name, field]: [string, { readonly default: unknown; readonly doc: string }]): string => {
  const value = field.default === undefined ? 'unset' : JSON.stringify(field.default);
  return [`${name} (${value})`, ...wrap(field.doc).map(line => `    ${line}`)].join('\n');
};

const DOC = [
  'JSON. Each setting, its default and what it does:',
  '',
  ...Object.entries(fields).map(entry),
  '',
  ...wrap(
    `After a change: kubectl -n ${NAMESPACE} rollout restart daemonset ${AGENT}. Paths and the health address appear in the DaemonSet below too; change both.`,
  ),
].join('\n');

const map: V1ConfigMap = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: CONFIG_MAP, namespace: NAMESPACE, labels: labels(AGENT) },
  data: { [CONFIG_FILE]: `${JSON.stringify(SHOWN_SETTINGS, undefined, 2)}\n` },
};

export const settings: readonly Manifest[] = [{ object: map, comments: { data: DOC } }];
