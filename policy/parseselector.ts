/** metav1.LabelSelector → Selector. Pure. */
import { isAbsent, isObject, type Reader, readObject, show } from './fields.ts';
import { selectorOf } from './select.ts';
import type { Requirement, Selector } from './types.ts';

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;
const FIX = 'write a selector as Kubernetes documents it';

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(item => typeof item === 'string');

function requirementOf(operator: unknown, label: string, values: readonly string[]): Requirement | undefined {
  const set = new Set(values);
  if (operator === 'In' && set.size > 0) return { kind: 'in', label, values: set };
  if (operator === 'NotIn' && set.size > 0) return { kind: 'notIn', label, values: set };
  if (operator === 'Exists' && set.size === 0) return { kind: 'exists', label };
  if (operator === 'DoesNotExist' && set.size === 0) return { kind: 'absent', label };
  return undefined;
}

function expression(reader: Reader, field: string, value: unknown): Requirement | undefined {
  const fields = readObject(reader, field, value, ['key', 'operator', 'values'], FIX);
  if (fields === undefined) return undefined;
  const { key, operator, values = [] } = fields;
  const requirement =
    typeof key === 'string' && key !== '' && isTexts(values ?? [])
      ? requirementOf(operator, key, (values ?? []) as readonly string[])
      : undefined;
  return (
    requirement ??
    reader.wrong(
      field,
      `${show(value)} is not a requirement with a key, an operator (${OPERATORS.join(', ')}) and values where the operator takes them; ${FIX}`,
    )
  );
}

function label(reader: Reader, field: string, key: string, value: unknown): Requirement | undefined {
  if (typeof value === 'string') return { kind: 'in', label: key, values: new Set([value]) };
  return reader.wrong(`${field}.${key}`, `${show(value)} is not text; ${FIX}`);
}

type Read = {
  /** Of the requirements that parse: selects at least what is meant. */
  readonly selector: Selector;
  readonly whole: boolean;
};

/** Absent is everything. */
export function readSelector(reader: Reader, field: string, value: unknown): Read {
  const before = reader.errors.length;
  const fields = isAbsent(value)
    ? {}
    : (readObject(reader, field, value, ['matchLabels', 'matchExpressions'], FIX) ?? {});
  const { matchLabels, matchExpressions } = fields;
  if (!isAbsent(matchLabels) && !isObject(matchLabels))
    reader.wrong(`${field}.matchLabels`, `${show(matchLabels)} is not an object; ${FIX}`);
  if (!isAbsent(matchExpressions) && !Array.isArray(matchExpressions))
    reader.wrong(`${field}.matchExpressions`, `${show(matchExpressions)} is not a list; ${FIX}`);
  const requirements = [
    ...Object.entries(isObject(matchLabels) ? matchLabels : {}).map(([key, text]) =>
      label(reader, `${field}.matchLabels`, key, text),
    ),
    ...(Array.isArray(matchExpressions) ? matchExpressions : []).map((item: unknown, n) =>
      expression(reader, `${field}.matchExpressions[${n}]`, item),
    ),
  ];
  return {
    selector: selectorOf(requirements.filter(requirement => requirement !== undefined)),
    whole: reader.errors.length === before,
  };
}
