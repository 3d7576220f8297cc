/** Field selectors: the fields that the real server knows of each kind. Pure. */
import { type KubeObject, part, word } from './object.ts';
import type { Resource } from './resources.ts';
import type { Matcher } from './selector.ts';
import { badRequest } from './status.ts';

type Field = (object: KubeObject) => unknown;

const at =
  (section: string, field: string): Field =>
  object =>
    part(object, section)[field];

const name: Field = ({ metadata }) => metadata.name;
const namespace: Field = ({ metadata }) => metadata.namespace;

const FIELDS: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  Node: { 'spec.unschedulable': object => part(object, 'spec').unschedulable === true },
  Namespace: { 'status.phase': at('status', 'phase') },
  Pod: {
    'spec.nodeName': at('spec', 'nodeName'),
    'spec.restartPolicy': at('spec', 'restartPolicy'),
    'spec.schedulerName': at('spec', 'schedulerName'),
    'spec.serviceAccountName': at('spec', 'serviceAccountName'),
    'spec.hostNetwork': object => part(object, 'spec').hostNetwork === true,
    'status.phase': at('status', 'phase'),
    'status.podIP': at('status', 'podIP'),
    'status.nominatedNodeName': at('status', 'nominatedNodeName'),
  },
  Event: {
    'involvedObject.kind': at('involvedObject', 'kind'),
    'involvedObject.namespace': at('involvedObject', 'namespace'),
    'involvedObject.name': at('involvedObject', 'name'),
    'involvedObject.uid': at('involvedObject', 'uid'),
    reason: object => object.reason,
    reportingComponent: object => object.reportingComponent,
    type: object => object.type,
  },
};

const fieldsOf = (resource: Resource): Readonly<Record<string, Field>> => ({
  'metadata.name': name,
  ...(resource.namespaced && { 'metadata.namespace': namespace }),
  ...FIELDS[resource.kind],
});

const TERM = /^(.*?)(!=|==|=)(.*)$/s;

/** Commas and equals signs in a value are written with a backslash. */
const unescaped = (value: string): string => {
  if (/(?<!\\)(?:\\\\)*[,=]/.test(value))
    throw badRequest('invalid field selector: unescaped character in value');
  return value.replace(/\\([\\,=])/g, '$1');
};

function requirement(text: string, fields: Readonly<Record<string, Field>>): Matcher {
  const [, field = '', operator, value = ''] = TERM.exec(text) ?? [];
  if (operator === undefined) throw badRequest(`invalid selector: '${text}'; can't understand '${text}'`);
  const read = Object.hasOwn(fields, field) ? fields[field] : undefined;
  if (read === undefined) throw badRequest(`field label not supported: ${field}`);
  const wanted = unescaped(value);
  return object => (word(read(object)) === wanted) === (operator !== '!=');
}

/** All requirements. Throws ApiFailure 400 where one cannot be read or is not known of this kind. */
export function fieldMatcher(resource: Resource, text: string): Matcher {
  const fields = fieldsOf(resource);
  const all = text
    .split(/(?<!\\),/)
    .filter(term => term !== '')
    .map(term => requirement(term, fields));
  return object => all.every(matches => matches(object));
}
