/** What the real server refuses in objects whose types are right. Pure. */
import { isDeepStrictEqual } from 'node:util';
import { wrongKey, wrongLabelValue, wrongName } from './names.ts';
import { type Json, type KubeObject, part, word } from './object.ts';
import type { Resource } from './resources.ts';
import type { FieldError } from './status.ts';

const MAX_ANNOTATIONS = 256 * 1024;

const wrong = (field: string, value: unknown, why: string): FieldError => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
});

function keyErrors(field: string, map: Json): FieldError[] {
  return Object.keys(map).flatMap(key => {
    const why = wrongKey(key);
    return why === undefined ? [] : [wrong(field, key, why)];
  });
}

function labelErrors(metadata: Json): FieldError[] {
  const labels = part(metadata, 'labels');
  const values = Object.values(labels).flatMap(value => {
    const why = wrongLabelValue(word(value));
    return why === undefined ? [] : [wrong('metadata.labels', value, why)];
  });
  return [...keyErrors('metadata.labels', labels), ...values];
}

function annotationErrors(metadata: Json): FieldError[] {
  const annotations = part(metadata, 'annotations');
  const size = Object.entries(annotations).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(word(value)),
    0,
  );
  const keys = keyErrors('metadata.annotations', annotations);
  if (size <= MAX_ANNOTATIONS) return keys;
  const message = `Too long: may not be more than ${MAX_ANNOTATIONS} bytes`;
  return [...keys, { reason: 'FieldValueTooLong', field: 'metadata.annotations', message }];
}

function nameErrors(metadata: Json): FieldError[] {
  const name = word(metadata.name);
  if (name === '') {
    const message = 'Required value: name or generateName is required';
    return [{ reason: 'FieldValueRequired', field: 'metadata.name', message }];
  }
  const why = wrongName(name);
  return why === undefined ? [] : [wrong('metadata.name', name, why)];
}

function eventErrors(object: Json): FieldError[] {
  const about = part(object, 'involvedObject').namespace ?? '';
  const { namespace } = part(object, 'metadata');
  // Events about objects without a namespace are kept in `default`.
  if (about === namespace || (about === '' && namespace === 'default')) return [];
  return [wrong('involvedObject.namespace', about, 'does not match event.namespace')];
}

function podErrors(object: Json): FieldError[] {
  const { containers } = part(object, 'spec');
  if (Array.isArray(containers) && containers.length > 0) return [];
  return [{ reason: 'FieldValueRequired', field: 'spec.containers', message: 'Required value' }];
}

const BY_KIND: Readonly<Record<string, (object: Json) => FieldError[]>> = {
  Event: eventErrors,
  Pod: podErrors,
};

const SET_ONCE: FieldError = {
  reason: 'FieldValueForbidden',
  field: 'spec.podCIDRs',
  message: 'Forbidden: node updates may not change podCIDR except from "" to valid',
};

const podCidrs = (object: Json): unknown => part(object, 'spec').podCIDRs ?? [];

function changeErrors(resource: Resource, before: KubeObject, after: Json): FieldError[] {
  const old = podCidrs(before);
  const changed =
    resource.kind === 'Node' &&
    Array.isArray(old) &&
    old.length > 0 &&
    !isDeepStrictEqual(old, podCidrs(after));
  return changed ? [SET_ONCE] : [];
}

/** Everything that is wrong with an object, and with what it was changed from. */
export function objectErrors(
  resource: Resource,
  after: Json,
  before: KubeObject | undefined,
): readonly FieldError[] {
  const metadata = part(after, 'metadata');
  return [
    ...nameErrors(metadata),
    ...labelErrors(metadata),
    ...annotationErrors(metadata),
    ...(BY_KIND[resource.kind]?.(after) ?? []),
    ...(before === undefined ? [] : changeErrors(resource, before, after)),
  ];
}
