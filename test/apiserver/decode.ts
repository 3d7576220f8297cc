/** JSON as an object of its kind: where a field has another type than the real server's, it says so in its words. Pure. */
import { isObject, type Json } from './object.ts';
import type { Resource } from './resources.ts';

const goType = (value: unknown): string => {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'object' ? 'object' : typeof value;
};

const mismatch = (value: unknown, field: string, type: string): string =>
  `json: cannot unmarshal ${goType(value)} into Go struct field ${field} of type ${type}`;

type Check = (value: unknown, field: string) => string | undefined;

const text: Check = (value, field) =>
  typeof value === 'string' ? undefined : mismatch(value, field, 'string');

const textMap: Check = (value, field) => {
  if (!isObject(value)) return mismatch(value, field, 'map[string]string');
  const wrong = Object.values(value).find(v => v !== null && typeof v !== 'string');
  return wrong === undefined ? undefined : mismatch(wrong, field, 'string');
};

const textList: Check = (value, field) => {
  if (!Array.isArray(value)) return mismatch(value, field, '[]string');
  const wrong = (value as unknown[]).find(v => typeof v !== 'string');
  return wrong === undefined ? undefined : mismatch(wrong, field, 'string');
};

const struct: Check = (value, field) => (isObject(value) ? undefined : mismatch(value, field, 'struct'));

/** Path, name in the real server's words, check. Parents before their fields. */
type Row = readonly [path: string, field: string, check: Check];

const META: readonly Row[] = [
  ['metadata', 'metadata', struct],
  ['metadata.name', 'ObjectMeta.metadata.name', text],
  ['metadata.namespace', 'ObjectMeta.metadata.namespace', text],
  ['metadata.generateName', 'ObjectMeta.metadata.generateName', text],
  ['metadata.uid', 'ObjectMeta.metadata.uid', text],
  ['metadata.resourceVersion', 'ObjectMeta.metadata.resourceVersion', text],
  ['metadata.labels', 'ObjectMeta.metadata.labels', textMap],
  ['metadata.annotations', 'ObjectMeta.metadata.annotations', textMap],
];

const ROWS: Readonly<Record<string, readonly Row[]>> = {
  Node: [
    ['spec', 'spec', struct],
    ['spec.podCIDR', 'NodeSpec.spec.podCIDR', text],
    ['spec.podCIDRs', 'NodeSpec.spec.podCIDRs', textList],
    ['status', 'status', struct],
  ],
  Pod: [
    ['spec', 'spec', struct],
    ['spec.nodeName', 'PodSpec.spec.nodeName', text],
    ['status', 'status', struct],
    ['status.podIP', 'PodStatus.status.podIP', text],
  ],
  ConfigMap: [['data', 'ConfigMap.data', textMap]],
  NetworkPolicy: [
    ['spec', 'spec', struct],
    ['spec.podSelector', 'NetworkPolicySpec.spec.podSelector', struct],
    ['spec.policyTypes', 'NetworkPolicySpec.spec.policyTypes', textList],
  ],
};

const valueAt = (object: Json, path: string): unknown =>
  path.split('.').reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), object);

/** What is wrong with the types of its fields; undefined where nothing is. */
export function wrongType(resource: Resource, object: Json): string | undefined {
  for (const [path, field, check] of [...META, ...(ROWS[resource.kind] ?? [])]) {
    const value = valueAt(object, path);
    const wrong = value === undefined || value === null ? undefined : check(value, field);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}
