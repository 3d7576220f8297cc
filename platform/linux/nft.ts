/** nftables through the program `nft`: its text is the one interface of it that is documented. */
import type { LinuxError } from './errors.ts';
import type { Exec } from './exec.ts';
import { openSetElements, type SetElements } from './nfsocket.ts';
import type { Nft } from './types.ts';

const ABSENT = /No such file or directory|does not exist/;

/** `counter NAME { packets N bytes N }`, once for each. */
const parseCounters = (text: string): Readonly<Record<string, number>> =>
  Object.fromEntries(
    [...text.matchAll(/counter (\w+) \{\s*(?:comment "[^"]*"\s*)?packets (\d+)/g)].map(
      ([, name, packets]) => [name, Number(packets)],
    ),
  );

/** `ADDRESS counter packets N bytes N` for each element of one set. */
const sumOfElements = (text: string): number =>
  [...text.matchAll(/ counter packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0);

/** `nextPort`: for the socket by which elements are changed. */
export function nftOver(
  exec: Exec,
  changed: () => void,
  nextPort: () => number,
): Nft & { readonly close: () => void } {
  let elements: SetElements | undefined;
  return {
    apply: async text => {
      changed();
      await exec(['nft', '-f', '-'], text);
    },
    list: async (family, table, terse) => {
      try {
        return await exec(['nft', '-s', ...(terse ? ['-t'] : []), 'list', 'table', family, table]);
      } catch (error) {
        if (ABSENT.test((error as LinuxError).message)) return undefined;
        throw error;
      }
    },
    counters: async (family, table) => {
      try {
        return parseCounters(await exec(['nft', 'list', 'counters', 'table', family, table]));
      } catch (error) {
        if (ABSENT.test((error as LinuxError).message)) return undefined;
        throw error;
      }
    },
    tallies: async (family, table, sets) => {
      try {
        // One each: of two lists in one call nft finds neither.
        const texts = await Promise.all(sets.map(set => exec(['nft', 'list', 'set', family, table, set])));
        return Object.fromEntries(sets.map((set, i) => [set, sumOfElements(texts[i] ?? '')]));
      } catch (error) {
        if (ABSENT.test((error as LinuxError).message)) return undefined;
        throw error;
      }
    },
    listSet: async (family, table, set) => {
      try {
        return await exec(['nft', '-s', 'list', 'set', family, table, set]);
      } catch (error) {
        if (ABSENT.test((error as LinuxError).message)) return undefined;
        throw error;
      }
    },
    elements: async (family, table, changes) => {
      if (changes.length === 0) return;
      changed();
      elements ??= openSetElements(nextPort);
      await elements.change(family, table, changes);
    },
    close: () => elements?.close(),
  };
}
