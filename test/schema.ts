/** As much of JSON Schema as docs/schema/ uses. Strict: a field that the schema does not name is a fault, since it is documented nowhere. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Json = Readonly<Record<string, unknown>>;

const FOLDER = join(import.meta.dirname, '../docs/schema');

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const readSchema = (file: string): Json =>
  JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as Json;

const KNOWN = [
  '$schema',
  'title',
  'description',
  'type',
  'enum',
  'items',
  'properties',
  'required',
  'additionalProperties',
  'anyOf',
  '$ref',
];

const typeOf = (value: unknown): string =>
  Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;

function inObject(schema: Json, value: Json, at: string, root: Json): readonly string[] {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const more = schema.additionalProperties;
  const missing = ((schema.required ?? []) as readonly string[]).filter(name => value[name] === undefined);
  return [
    ...missing.map(name => `${at}.${name} is missing`),
    ...Object.entries(value).flatMap(([name, inner]) => {
      if (inner === undefined) return [];
      const found = Object.hasOwn(properties, name) ? properties[name] : more;
      if (found === undefined) return [`${at}.${name} is not in the schema`];
      return faults(found as Json, inner, `${at}.${name}`, root);
    }),
  ];
}

/** What of a value is not as the schema has it, as `$.a.b …`; empty: all is. */
export function faults(schema: Json, value: unknown, at = '$', root = schema): readonly string[] {
  const strange = Object.keys(schema).filter(word => !KNOWN.includes(word));
  if (strange.length > 0) return [`${at}: this test does not know ${strange.join(', ')}`];
  if (typeof schema.$ref === 'string') {
    const target = schema.$ref === '#' ? root : readSchema(schema.$ref);
    return faults(target, value, at, target);
  }
  if (Array.isArray(schema.anyOf)) {
    const all = (schema.anyOf as readonly Json[]).map(one => faults(one, value, at, root));
    return all.some(found => found.length === 0) ? [] : (all[0] ?? []);
  }
  if (Array.isArray(schema.enum))
    return schema.enum.includes(value) ? [] : [`${at} is ${JSON.stringify(value)}`];
  if (schema.type !== typeOf(value)) return [`${at} is no ${String(schema.type)} but ${typeOf(value)}`];
  if (Array.isArray(value))
    return value.flatMap((item, i) => faults(schema.items as Json, item, `${at}[${i}]`, root));
  return isObject(value) ? inObject(schema, value, at, root) : [];
}
