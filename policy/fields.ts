/** Reading `unknown` API objects field by field: what is wrong is collected, never thrown. Pure. */
import type { FieldError } from './types.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Where errors go, and the rule that absent, null and empty are one. */
export type Reader = {
  readonly errors: FieldError[];
  /** Says it and gives undefined back. */
  readonly wrong: (field: string, message: string) => undefined;
};

export function newReader(): Reader {
  const errors: FieldError[] = [];
  return {
    errors,
    wrong: (field, message) => {
      errors.push({ field, message });
      return undefined;
    },
  };
}

export const isAbsent = (value: unknown): value is undefined | null => value === undefined || value === null;

export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export const objectOf = (value: unknown): Fields => (isObject(value) ? value : {});

/** For messages: short, on one line. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** An object with no fields but the known; anything else is said and undefined. */
export function readObject(
  reader: Reader,
  field: string,
  value: unknown,
  known: readonly string[],
  consequence: string,
): Fields | undefined {
  if (!isObject(value)) return reader.wrong(field, `${show(value)} is not an object; ${consequence}`);
  const unknown = Object.keys(value).filter(name => !known.includes(name) && !isAbsent(value[name]));
  if (unknown.length === 0) return value;
  return reader.wrong(
    `${field}.${unknown[0]}`,
    `weft does not know this field (it knows ${known.join(', ')}) and it may narrow what is meant; ${consequence}`,
  );
}

/** A list, empty where it is absent; anything else is said and undefined. */
export function readList(
  reader: Reader,
  field: string,
  value: unknown,
  consequence: string,
): readonly unknown[] | undefined {
  if (isAbsent(value)) return [];
  if (Array.isArray(value)) return value;
  return reader.wrong(field, `${show(value)} is not a list; ${consequence}`);
}
