/** An nft table that is always the text we want, and touched only when it is not. */
import { createHash } from 'node:crypto';
import type { Nft } from './types.ts';

/** What was asked for and how the kernel then printed it, as digests: nft prints a text back in other words. */
export type TableMemo = { readonly wanted: string; readonly listed: string };

export interface TableMemos {
  get(table: string): TableMemo | undefined;
  set(table: string, memo: TableMemo): Promise<void>;
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Whole table in one transaction: no packet sees a moment without its rules. */
const replacement = (family: string, table: string, text: string): string =>
  `table ${family} ${table} {\n}\ndelete table ${family} ${table}\n${text}`;

/**
 * Makes `family table` equal to `text`; true where it had to be changed. Compares what the
 * kernel prints now with what it printed after our last change, so that anybody's hand is seen.
 * `withoutElements`: the sets are filled by somebody else and are not compared.
 */
export async function ensureTable(
  nft: Nft,
  family: string,
  table: string,
  text: string,
  memos: TableMemos,
  withoutElements = false,
): Promise<boolean> {
  const name = `${family} ${table}`;
  const memo = memos.get(name);
  const listed = await nft.list(family, table, withoutElements);
  const intact = listed !== undefined && memo?.listed === digest(listed) && memo.wanted === digest(text);
  if (intact) return false;
  await nft.apply(replacement(family, table, text));
  const now = (await nft.list(family, table, withoutElements)) ?? '';
  await memos.set(name, { wanted: digest(text), listed: digest(now) });
  return true;
}
