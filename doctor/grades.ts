/** How grave a finding is. Pure. */
import type { Check, Grade } from './types.ts';

export const ok = (id: string, what: string): Check => ({ id, grade: 'ok', what, cure: undefined });

const RANK: Readonly<Record<Grade, number>> = { error: 0, warning: 1, info: 2, ok: 3 };

/** Those of one grade stay in their order. */
export const worstFirst = <T extends { readonly grade: Grade }>(all: readonly T[]): readonly T[] =>
  all.toSorted((a, b) => RANK[a.grade] - RANK[b.grade]);
