/** Remembers what settings of the kernel were before we changed them, so that they can be put back. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Sysctls } from './types.ts';

/** Of one setting: before our first change, and what we wrote last. */
export type Changed = { readonly before: string; readonly ours: string };

export type SysctlRecord = Readonly<Record<string, Changed>>;

const isChanged = (value: unknown): value is Changed => {
  const { before, ours } = (value ?? {}) as Record<string, unknown>;
  return typeof before === 'string' && typeof ours === 'string';
};

/** What the file has; nothing where it is absent or damaged. */
export function readSysctlRecord(path: string): SysctlRecord {
  try {
    const entries = Object.entries(JSON.parse(readFileSync(path, 'utf8')) as object);
    return Object.fromEntries(entries.filter((e): e is [string, Changed] => isChanged(e[1])));
  } catch {
    return {};
  }
}

/** Replaces the whole file. */
export function saveSysctlRecord(path: string, record: SysctlRecord): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** The same verbs; each change is in the file before it is made. A file that cannot be written stops no change. */
export function recordedSysctls(sysctls: Sysctls, path: string): Sysctls {
  return {
    ...sysctls,
    write: async (key, value) => {
      const record = readSysctlRecord(path);
      const before = record[key]?.before ?? (await sysctls.read(key));
      if (before !== undefined && record[key]?.ours !== value)
        try {
          saveSysctlRecord(path, { ...record, [key]: { before, ours: value } });
        } catch {
          // A full or read-only file system: the setting is worth more than the memory of it.
        }
      await sysctls.write(key, value);
    },
  };
}
