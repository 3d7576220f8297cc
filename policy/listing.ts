/** A table as `nft -s list table` prints it → plain data that a rule set can be compared with. Pure. */

import { parseIp } from '../ip.ts';
import type { Ip } from '../types.ts';
import type { ChainId, ElementText, FixedSet, Table, Target } from './types.ts';
import { elementKey } from './wire.ts';

type Block = { readonly kind: string; readonly name: string; readonly lines: readonly string[] };

/** Blocks of a table, one level deep; lines without their indent. */
function blocksOf(text: string): readonly Block[] {
  const blocks: { kind: string; name: string; lines: string[] }[] = [];
  let open: { kind: string; name: string; lines: string[] } | undefined;
  for (const line of text.split('\n').slice(1)) {
    const header = /^\t(\w+) (\S+) \{$/.exec(line);
    if (header !== null) open = { kind: header[1] as string, name: header[2] as string, lines: [] };
    else if (line === '\t}' && open !== undefined) {
      blocks.push(open);
      open = undefined;
    } else open?.lines.push(line.trim());
  }
  return blocks;
}

/** `elements = { a, b,` over several lines → its elements, with nothing about them. */
function elementsOf(lines: readonly string[]): readonly string[] {
  const at = lines.findIndex(line => line.startsWith('elements = {'));
  if (at < 0) return [];
  const end = lines.findIndex((line, n) => n >= at && line.endsWith('}'));
  const body = lines
    .slice(at, end + 1)
    .join(' ')
    .replace(/^elements = \{/, '')
    .replace(/\}$/, '');
  return body
    .split(',')
    .map(element => element.replace(/ counter packets \d+ bytes \d+| counter/, '').trim())
    .filter(element => element !== '');
}

export type Listing = {
  /** Chains by name, each with what stands in it. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Sets and maps by name: what is declared, and the elements. */
  readonly sets: ReadonlyMap<string, { readonly declared: string; readonly elements: readonly string[] }>;
};

export function parseListing(text: string): Listing {
  const blocks = blocksOf(text);
  return {
    chains: new Map(blocks.filter(b => b.kind === 'chain').map(b => [b.name, b.lines])),
    sets: new Map(
      blocks
        .filter(b => b.kind === 'set' || b.kind === 'map')
        .map(b => {
          const at = b.lines.findIndex(line => line.startsWith('elements'));
          const declared = at < 0 ? b.lines : b.lines.slice(0, at);
          return [b.name, { declared: `${b.kind} ${declared.join('; ')}`, elements: elementsOf(b.lines) }];
        }),
    ),
  };
}

const hexOf = (set: string, text: ElementText): string | undefined => {
  try {
    const { key, keyEnd } = elementKey(set, text);
    return key.toString('hex') + (keyEnd?.toString('hex') ?? '');
  } catch {
    // Not one of ours: it is as good as any text to be removed by.
    return undefined;
  }
};

/** In our words where we want it too, else in the kernel's. */
function inOurWords(
  set: string,
  elements: readonly string[],
  wanted: ReadonlySet<ElementText>,
): ReadonlySet<ElementText> {
  const there = new Set(elements as readonly ElementText[]);
  const odd = [...there].filter(text => !wanted.has(text));
  if (odd.length === 0) return there;
  // Nearly all are in the same words, and the long way is for the others.
  const ours = new Map([...wanted].filter(text => !there.has(text)).map(text => [hexOf(set, text), text]));
  for (const text of odd) {
    there.delete(text);
    there.add(ours.get(hexOf(set, text)) ?? text);
  }
  return there;
}

function bindings(elements: readonly string[]): ReadonlyMap<Ip, Target> {
  return new Map(
    elements.flatMap(element => {
      const [address = '', verdict = ''] = element.split(' : ');
      const ip = parseIp(address.trim());
      const chain = /(?:jump|goto) (\S+)/.exec(verdict)?.[1];
      return ip.ok && chain !== undefined ? [[ip.value, chain as Target] as const] : [];
    }),
  );
}

const MAP = /^(?:ingress|egress)[46]$/;
const CLASS = /^(?:in|eg)-/;

/** What of a listing a rule set speaks of. Rules and declarations of the rest are the frame. */
export function tableFrom(listing: Listing, wanted: Table): Table {
  const sets = [...listing.sets].filter(([name]) => !MAP.test(name));
  const maps = [...listing.sets].filter(([name]) => MAP.test(name));
  return {
    chains: new Map(
      [...listing.chains]
        .filter(([name]) => CLASS.test(name))
        .map(([name, lines]) => [name as ChainId, lines]),
    ),
    sets: new Map(
      sets.map(([name, { elements }]) => [
        name,
        inOurWords(name, elements, wanted.sets.get(name) ?? new Set()),
      ]),
    ),
    maps: new Map(maps.map(([name, { elements }]) => [name as FixedSet, bindings(elements)])),
  };
}
