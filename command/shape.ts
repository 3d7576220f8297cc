/**
 * Shapes of the JSON that weft prints: each is JSON Schema for programs, and text for people; docs/schema/ and
 * docs/command.md are made from them. By its type agents' answers are checked at compile time; what verbs print is
 * held to its schema by golden samples. Pure.
 */

type Json = Readonly<Record<string, unknown>>;

export type Shape<T = unknown> = {
  readonly json: Json;
  /** As in a TypeScript type, lines after the first indented by so many spaces. */
  readonly text: (indent: number) => string;
  readonly optional?: boolean;
  /** Never there: it carries the type. */
  readonly of?: T;
};

type Optional<T> = Shape<T> & { readonly optional: true };

/** The type of what has this shape. */
export type Shaped<S> = S extends Shape<infer T> ? T : never;

const leaf = <T>(type: string): Shape<T> => ({ json: { type }, text: () => type });

export const string = leaf<string>('string');
export const number = leaf<number>('number');
export const boolean = leaf<boolean>('boolean');

export const oneOf = <const T extends string>(...values: readonly T[]): Shape<T> => ({
  json: { enum: values },
  text: () => values.map(value => JSON.stringify(value)).join(' | '),
});

export const list = <T>(item: Shape<T>): Shape<readonly T[]> => ({
  json: { type: 'array', items: item.json },
  text: indent => {
    const text = item.text(indent);
    return / \| /.test(text.split('\n')[0] ?? '') ? `(${text})[]` : `${text}[]`;
  },
});

/** Names that are not fixed → values. */
export const map = <T>(value: Shape<T>): Shape<Readonly<Record<string, T>>> => ({
  json: { type: 'object', additionalProperties: value.json },
  text: indent => `{ [name: string]: ${value.text(indent)} }`,
});

export const either = <A, B>(a: Shape<A>, b: Shape<B>): Shape<A | B> => ({
  json: { anyOf: [a.json, b.json] },
  text: indent => `${a.text(indent)} | ${b.text(indent)}`,
});

/** May be absent. */
export const may = <T>(shape: Shape<T>): Optional<T> => ({ ...shape, optional: true });

/** With a sentence for those who read it. */
export const said = <S extends Shape>(shape: S, description: string): S => ({
  ...shape,
  json: { ...shape.json, description },
});

/** Another file's, or with `#` this one's, whole shape. */
export const ref = <T>(target: string, text: string): Shape<T> => ({
  json: { $ref: target },
  text: () => text,
});

type Fields = Readonly<Record<string, Shape>>;
type Required<F extends Fields> = {
  [K in keyof F]: F[K] extends { readonly optional: true } ? never : K;
}[keyof F];
type ObjectOf<F extends Fields> = { readonly [K in Required<F>]: Shaped<F[K]> } & {
  readonly [K in Exclude<keyof F, Required<F>>]?: Shaped<F[K]> | undefined;
};

function fieldLines(fields: Fields, indent: number): readonly string[] {
  const pad = ' '.repeat(indent);
  return Object.entries(fields).map(([name, shape]) => {
    const line = `${pad}"${name}"${shape.optional ? '?' : ''}: ${shape.text(indent)}`;
    const { description } = shape.json;
    return typeof description === 'string' ? `${pad}// ${description}\n${line}` : line;
  });
}

const ONE_LINE = 90;

/** On one line where it is short. */
function objectText(fields: Fields, indent: number): string {
  const lines = fieldLines(fields, indent + 2);
  const short = `{ ${lines.map(line => line.trim()).join(', ')} }`;
  if (short.length <= ONE_LINE && !short.includes('\n')) return short;
  return `{\n${lines.join(',\n')}\n${' '.repeat(indent)}}`;
}

export const object = <F extends Fields>(fields: F): Shape<ObjectOf<F>> => {
  const required = Object.keys(fields).filter(name => !fields[name]?.optional);
  const properties = Object.fromEntries(Object.entries(fields).map(([name, { json }]) => [name, json]));
  return {
    // Fields are added in later versions, so others are allowed.
    json: { type: 'object', properties, ...(required.length > 0 && { required }) },
    text: indent => objectText(fields, indent),
  };
};

/** A whole file of JSON Schema. */
export const schemaFile = (title: string, { json }: Shape): string =>
  `${JSON.stringify({ $schema: 'https://json-schema.org/draft/2020-12/schema', title, ...json }, undefined, 2)}\n`;
