/**
 * What of the manifests a user of the Helm chart may choose. Each hole stands at a place of an object that
 * `weft.yaml` has too, so the chart's defaults are that file's values and nothing is written twice.
 */
import type { Manifest } from '../yaml.ts';

/** Keys and indices from the root of an object. */
export type Path = readonly (string | number)[];

export type Hole = {
  /** `DaemonSet/weft`: the object. */
  readonly object: string;
  readonly at: Path;
  /** What follows `key:` in the template. `indent` is that of the key's children. */
  readonly template: (indent: number) => string;
};

/** A value of the chart. Without `at` its default is `fallback`. */
export type Value = {
  /** Dotted name in values.yaml. */
  readonly name: string;
  readonly doc: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly default: unknown;
};

export const objectName = ({ object }: Manifest): string => {
  const { kind, metadata } = object as { kind: string; metadata: { name: string } };
  return `${kind}/${metadata.name}`;
};

/** What stands at a path. @throws where nothing does, and says at which key */
export function valueAt(object: unknown, path: Path): unknown {
  let value = object;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !(key in value))
      throw new Error(`the manifest has nothing at ${path.join('.')}: there is no ${key}`);
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

/** The object with `value` at a path; the last key may be new. */
export function withValue(object: unknown, [key, ...rest]: Path, value: unknown): unknown {
  if (key === undefined) return value;
  const old = (object as Record<string | number, unknown>)[key];
  const changed = rest.length === 0 ? value : withValue(old, rest, value);
  if (Array.isArray(object)) return object.map((item, i) => (i === key ? changed : item));
  return { ...(object as object), [key]: changed };
}

/** `.Values.x` as YAML below its key. */
export const block =
  (value: string) =>
  (indent: number): string =>
    `{{- toYaml .Values.${value} | nindent ${indent} }}`;

/** One expression on the key's own line. */
export const inline = (expression: string) => (): string => `{{ ${expression} }}`;
