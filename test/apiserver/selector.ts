/** Label and field selectors of list and watch. Pure. */
import type { KubeObject } from './object.ts';
import { badRequest } from './status.ts';

export type Matcher = (object: KubeObject) => boolean;

/** Commas outside of parentheses separate requirements. */
const split = (text: string): string[] => text.split(/,(?![^(]*\))/).filter(part => part.trim() !== '');

const SET = /^\s*([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)\s*$/;
const EQUAL = /^\s*([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)\s*$/;
const EXISTS = /^\s*(!?)\s*([\w./-]+)\s*$/;

function labelRequirement(text: string): Matcher {
  const label = (object: KubeObject, key: string) => object.metadata.labels?.[key];
  const set = SET.exec(text);
  if (set) {
    const values = (set[3] ?? '').split(',').map(value => value.trim());
    return object => values.includes(label(object, set[1] as string) ?? '\0') === (set[2] === 'in');
  }
  const equal = EQUAL.exec(text);
  if (equal) return object => (label(object, equal[1] as string) === equal[3]) === (equal[2] !== '!=');
  const exists = EXISTS.exec(text);
  if (exists) return object => (label(object, exists[2] as string) !== undefined) === (exists[1] !== '!');
  throw badRequest(`unable to parse requirement: ${text}`);
}

const FIELDS: Readonly<Record<string, (object: KubeObject) => unknown>> = {
  'metadata.name': object => object.metadata.name,
  'metadata.namespace': object => object.metadata.namespace ?? '',
  'spec.nodeName': object => (object.spec as { nodeName?: string } | undefined)?.nodeName ?? '',
};

function fieldRequirement(text: string): Matcher {
  const equal = EQUAL.exec(text);
  const field = equal && FIELDS[equal[1] as string];
  if (!equal || !field) throw badRequest(`Unable to find field selector for ${text}`);
  return object => (field(object) === equal[3]) === (equal[2] !== '!=');
}

/** All requirements of both selectors. Throws ApiFailure 400 where one cannot be read. */
export function matcher(labels: string | null, fields: string | null): Matcher {
  const all = [...split(labels ?? '').map(labelRequirement), ...split(fields ?? '').map(fieldRequirement)];
  return object => all.every(match => match(object));
}
