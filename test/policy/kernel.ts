/** A kernel of plain data: takes operations one by one, as strictly as nftables does. */
import assert from 'node:assert/strict';
import { cidrRange, ipToNumber } from '../../ip.ts';
import { setsOf } from '../../policy/elements.ts';
import { rulesOf } from '../../policy/table.ts';
import type { ChainId, ElementText, FixedSet, Operation, Table, Target } from '../../policy/types.ts';
import type { Cidr, Ip } from '../../types.ts';

export type Kernel = {
  readonly chains: Map<ChainId, readonly string[]>;
  readonly sets: Map<string, Set<ElementText>>;
  readonly maps: Map<FixedSet, Map<Ip, Target>>;
};

export const kernelOf = (table: Table): Kernel => ({
  chains: new Map(table.chains),
  sets: new Map([...table.sets].map(([name, set]) => [name, new Set(set)])),
  maps: new Map([...table.maps].map(([name, map]) => [name, new Map(map)])),
});

function set(kernel: Kernel, name: string): Set<ElementText> {
  const found = kernel.sets.get(name);
  assert.ok(found, `no set ${name}`);
  return found;
}

const bound = (kernel: Kernel, id: Target): boolean =>
  [...kernel.maps.values()].some(map => [...map.values()].includes(id));

export function applyOne(kernel: Kernel, operation: Operation): void {
  switch (operation.kind) {
    case 'addChain': {
      for (const [name, elements] of setsOf(operation.chain)) kernel.sets.set(name, new Set(elements));
      kernel.chains.set(operation.chain.id, rulesOf(operation.chain));
      return;
    }
    case 'deleteElements': {
      for (const element of operation.elements)
        assert.ok(set(kernel, operation.set).delete(element), `${element} was not in ${operation.set}`);
      return;
    }
    case 'addElements': {
      for (const element of operation.elements) {
        assert.ok(!set(kernel, operation.set).has(element), `${element} is in ${operation.set} already`);
        set(kernel, operation.set).add(element);
      }
      return;
    }
    case 'bind': {
      const map = kernel.maps.get(operation.map);
      assert.ok(map && map.get(operation.ip) === operation.from, `${operation.ip} is bound otherwise`);
      assert.notEqual(operation.from, operation.to);
      assert.ok(!operation.to?.includes('-') || kernel.chains.has(operation.to as ChainId), 'no such chain');
      if (operation.to === undefined) map.delete(operation.ip);
      else map.set(operation.ip, operation.to);
      return;
    }
    case 'deleteChain': {
      assert.ok(!bound(kernel, operation.id), `${operation.id} is in use`);
      assert.ok(kernel.chains.delete(operation.id));
      for (const name of operation.sets) assert.ok(kernel.sets.delete(name), `no set ${name}`);
    }
  }
}

const entries = <T>(map: ReadonlyMap<string, T>): Record<string, T> =>
  Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));

const each = <T, U>(map: ReadonlyMap<string, T>, change: (value: T) => U): Map<string, U> =>
  new Map([...map].map(([name, value]) => [name, change(value)]));

const bounds = (text: string): readonly [bigint, bigint] => {
  const [network = '', length] = text.split('/');
  if (length !== undefined) {
    const { first, last } = cidrRange(text as Cidr);
    return [first, last];
  }
  const [from = '', to = from] = network.split('-');
  const number = (word: string): bigint =>
    /[.:]/.test(word) ? ipToNumber(word as Ip) : BigInt({ tcp: 6, udp: 17, sctp: 132 }[word] ?? word);
  return [number(from), number(to)];
};

const overlap = (a: ElementText, b: ElementText): boolean => {
  const others = b.split(' . ').map(bounds);
  return a.split(' . ').every((field, n) => {
    const [first, last] = bounds(field);
    const [from, to] = others[n] as readonly [bigint, bigint];
    return first <= to && from <= last;
  });
};

/** Elements of a set of ranges must not overlap: the kernel takes or refuses them as it comes. */
export function assertDisjoint(table: Table): void {
  for (const [name, set] of table.sets) {
    const all = /box[46]$/.test(name) ? [...set] : [];
    for (const [n, a] of all.entries())
      for (const b of all.slice(n + 1)) assert.ok(!overlap(a, b), `${name} has ${a} and ${b}`);
  }
}

/** For comparing: everything sorted. */
export const sorted = (table: Table): unknown => ({
  chains: entries(table.chains),
  sets: entries(each(table.sets, all => [...all].sort())),
  maps: entries(each(table.maps, entries)),
});
