/** What we last made of our nft tables, kept over a restart of the agent but not of the node. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { TableMemo, TableMemos } from '../platform/linux/table.ts';

function load(path: string): Map<string, TableMemo> {
  try {
    return new Map(Object.entries(JSON.parse(readFileSync(path, 'utf8')) as Record<string, TableMemo>));
  } catch {
    // Absent after a boot, or cut off by a kill: the tables are then written once more, with the same text.
    return new Map();
  }
}

/** Memos in a small JSON file, written by rename. */
export function openMemos(path: string): TableMemos {
  const memos = load(path);
  return {
    get: table => memos.get(table),
    set: async (table, memo) => {
      memos.set(table, memo);
      writeFileSync(`${path}.new`, JSON.stringify(Object.fromEntries(memos)), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
  };
}
