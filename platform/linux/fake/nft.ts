/**
 * nftables of the fake: tables as blocks of text, changed by whole transactions; sets with their
 * elements. Rules are kept as they are, not understood.
 */
import { LinuxError } from '../errors.ts';
import type { ElementChange, Nft } from '../types.ts';
import { refuse, type State, type Table, type TableItem, tableNews, tell } from './state.ts';

const wrong = (text: string): never => {
  throw new LinuxError('EFAILED', `nft -f -: syntax error at ${JSON.stringify(text.slice(0, 60))}`);
};

/** Position after the brace that closes the one at `open`. */
function closing(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === '{') depth += 1;
    if (text[at] === '}') depth -= 1;
    if (depth === 0) return at + 1;
  }
  return wrong(text.slice(open));
}

const lines = (text: string): string[] =>
  text
    .split(/[\n;]/)
    .map(line => line.trim().replace(/\s+/g, ' '))
    .filter(line => line !== '' && !line.startsWith('#'));

/** Blocks `header { … }` of a table's or a file's text. */
function* blocks(text: string): Generator<TableItem> {
  let rest = text.trim();
  while (rest !== '') {
    const statement = /^(?:add|delete|destroy|flush) [^\n;{]*/.exec(rest)?.[0];
    const open = rest.indexOf('{');
    if (statement !== undefined) {
      yield { header: statement.trim(), lines: [] };
      rest = rest.slice(statement.length).replace(/^[\s;]+/, '');
    } else if (open > 0) {
      const end = closing(rest, open);
      yield {
        header: rest.slice(0, open).trim().replace(/\s+/g, ' '),
        lines: [rest.slice(open + 1, end - 1)],
      };
      rest = rest.slice(end).replace(/^[\s;]+/, '');
    } else wrong(rest);
  }
}

const ITEM = /^(?:set|map|chain|counter) (\w+)$/;

function addItems(table: Table, body: string): void {
  for (const { header, lines: inner } of blocks(body)) {
    const name = ITEM.exec(header)?.[1] ?? wrong(header);
    const known = table.items.find(item => item.header === header);
    if (known === undefined) table.items.push({ header, lines: lines(inner.join()) });
    else known.lines.push(...lines(inner.join()).filter(line => !line.startsWith('type ')));
    if (/^(?:set|map) /.test(header) && !table.sets.has(name)) table.sets.set(name, new Map());
  }
}

const copy = (tables: ReadonlyMap<string, Table>): Map<string, Table> =>
  new Map(
    [...tables].map(([name, { items, sets }]) => [
      name,
      {
        items: items.map(item => ({ header: item.header, lines: [...item.lines] })),
        sets: new Map([...sets].map(([set, elements]) => [set, new Map(elements)])),
      },
    ]),
  );

/** The tables after the transaction. Throws and leaves them alone where a statement fails. */
function transact(before: ReadonlyMap<string, Table>, text: string): Map<string, Table> {
  const tables = copy(before);
  for (const { header, lines: inner } of blocks(text)) {
    const [, verb = 'add', name = ''] =
      /^(?:(add|delete|destroy) )?table (\w+ [\w-]+)$/.exec(header) ?? wrong(header);
    if (verb === 'add') {
      const table = tables.get(name) ?? { items: [], sets: new Map() };
      addItems(table, inner.join());
      tables.set(name, table);
    } else if (!tables.delete(name) && verb === 'delete')
      throw new LinuxError('EFAILED', `nft -f -: delete table ${name}: No such file or directory`);
  }
  return tables;
}

const printItem = ({ header, lines: inner }: TableItem, table: Table, terse: boolean): string[] => {
  const set = terse ? undefined : table.sets.get(header.split(' ')[1] ?? '');
  const elements = [...(set ?? [])].map(([key, data]) => `\t\telement ${key} ${data}`.trimEnd());
  return [
    `\t${header} {`,
    ...inner.filter(line => !terse || !line.startsWith('elements')).map(line => `\t\t${line}`),
    ...elements.sort(),
    '\t}',
  ];
};

/** A table as the fake's `nft list table` gives it. */
const printTable = (name: string, table: Table, terse: boolean): string =>
  [`table ${name} {`, ...table.items.flatMap(item => printItem(item, table, terse)), '}', ''].join('\n');

function changeElements(table: Table, changes: readonly ElementChange[]): void {
  const missing = (set: string): never => refuse('ENOENT', `nft set elements: ${set}`);
  for (const change of changes) {
    const elements = table.sets.get(change.set) ?? missing(change.set);
    const key = change.key.toString('hex');
    if (change.op === 'add') elements.set(key, change.data?.toString('hex') ?? '');
    else if (!elements.delete(key)) missing(change.set);
  }
}

export const fakeNft = (state: State): Nft => ({
  apply: async text => {
    state.spawned.push('nft -f -');
    state.changes += 1;
    state.tables = transact(state.tables, text);
    const named = [...text.matchAll(/\btable (\w+) ([\w-]+)/g)];
    const news = new Set(named.map(([, family = '', name = '']) => tableNews(family, name)));
    for (const kind of news) tell(state, kind);
  },
  list: async (family, name, terse = false) => {
    state.spawned.push(`nft -s ${terse ? '-t ' : ''}list table ${family} ${name}`);
    const table = state.tables.get(`${family} ${name}`);
    return table && printTable(`${family} ${name}`, table, terse);
  },
  counters: async (family, name) => {
    state.spawned.push(`nft list counters table ${family} ${name}`);
    const found = state.tables.get(`${family} ${name}`)?.items.flatMap(({ header }) => {
      const counter = /^counter (\w+)$/.exec(header)?.[1];
      return counter === undefined ? [] : [[counter, 0] as const];
    });
    return found && Object.fromEntries(found);
  },
  tallies: async (family, name, sets) => {
    state.spawned.push(`nft list set ${family} ${name}`);
    return state.tables.has(`${family} ${name}`) ? Object.fromEntries(sets.map(set => [set, 0])) : undefined;
  },
  listSet: async (family, name, set) => {
    state.spawned.push(`nft -s list set ${family} ${name} ${set}`);
    const table = state.tables.get(`${family} ${name}`);
    const item = table?.items.find(({ header }) => header === `set ${set}`);
    return table && item && printTable(`${family} ${name}`, { ...table, items: [item] }, false);
  },
  elements: async (family, name, changes) => {
    if (changes.length === 0) return;
    state.changes += 1;
    const tables = copy(state.tables);
    changeElements(tables.get(`${family} ${name}`) ?? refuse('ENOENT', `nft table ${name}`), changes);
    state.tables = tables;
  },
});
