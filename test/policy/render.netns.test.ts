/** nft and this kernel take what is rendered, and differences lead to the same table as writing it whole. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { POLICY_TABLE } from '../../constants.ts';
import { newCompiler } from '../../policy/compile.ts';
import { diff } from '../../policy/diff.ts';
import { renderOperations, renderTable } from '../../policy/render.ts';
import type { Operation, RuleSet } from '../../policy/types.ts';
import { enterLab } from '../lab/reenter.ts';
import { history } from './history.ts';
import type { RawPeer, RawPort, World } from './naive.ts';
import { block, pod, range, toCluster, world } from './world.ts';

await enterLab(import.meta.filename);

const load = (text: string): void => {
  execFileSync('nft', ['-f', '-'], { input: text, stdio: ['pipe', 'pipe', 'pipe'] });
};

const WHATEVER = new Set(['handle', 'metainfo']);

/** The table in the kernel, as nft's JSON, without handles; everything that has no order is sorted. */
function listed(): string {
  const text = execFileSync('nft', ['-j', 'list', 'table', 'inet', POLICY_TABLE], { encoding: 'utf8' });
  const objects = (JSON.parse(text) as { nftables: Record<string, Record<string, unknown>>[] }).nftables;
  const rules = Map.groupBy(objects, object => JSON.stringify(object.rule?.chain ?? ''));
  const print = (value: unknown): string =>
    JSON.stringify(value, (key, inner: unknown) => {
      if (WHATEVER.has(key)) return undefined;
      return key === 'elem' && Array.isArray(inner) ? inner.map(one => JSON.stringify(one)).sort() : inner;
    });
  const others = (rules.get('""') ?? []).map(print).sort();
  const chains = [...rules]
    .filter(([chain]) => chain !== '""')
    .map(([, list]) => print(list))
    .sort();
  return [...others, ...chains].join('\n');
}

/** Loads the first whole and the others by their differences; holds the end to writing it whole. */
function follow(worlds: readonly World[]): readonly Operation[] {
  const compile = newCompiler();
  let old: RuleSet | undefined;
  const done: Operation[] = [];
  for (const world of worlds) {
    const now = compile(toCluster(world, 'n0'));
    const operations = old === undefined ? [] : diff(old, now);
    if (old === undefined) load(renderTable(now));
    else if (operations.length > 0) load(renderOperations(operations));
    done.push(...operations);
    old = now;
  }
  const changed = listed();
  load(renderTable(old as RuleSet));
  assert.equal(changed, listed());
  return done;
}

test('random clusters load whole, and change by change', () => {
  let changes = 0;
  fc.assert(
    fc.property(history(4), worlds => {
      changes += follow(worlds).length;
    }),
    { numRuns: 20 },
  );
  assert.ok(changes > 20, `${changes} changes`);
});

/** Of each kind of ports one, so that a chain has sets of each kind whatever else there is. */
const BASE: readonly (readonly [RawPeer, RawPort | undefined])[] = [
  undefined,
  { port: 22 },
  { port: 22, endPort: 23 },
].map(ports => [{ ipBlock: { cidr: '192.0.2.2/32' } }, ports]);

/** A policy with networks and ranges of ports alone: its chain stays, its elements change. */
const boxed: fc.Arbitrary<World> = fc
  .tuple(world, pod(0), fc.array(fc.tuple(block, range), { minLength: 1, maxLength: 5 }))
  .map(([base, one, rules]) => ({
    ...base,
    pods: [
      {
        ...one,
        metadata: { ...one.metadata, namespace: 'a' },
        spec: { ...one.spec, nodeName: 'n0', hostNetwork: false },
        status: { phase: 'Running', podIPs: [{ ip: '10.42.0.2' }, { ip: 'fd42:0:0:1::2' }] },
      },
    ],
    policies: [
      {
        metadata: { namespace: 'a', name: 'boxed' },
        spec: {
          ingress: [...BASE, ...rules].map(([peer, ports]) => ({
            from: [peer],
            ...(ports && { ports: [ports] }),
          })),
        },
      },
    ],
  }));

test('networks and ranges change in a living set, whatever overlaps with whatever', () => {
  let changes = 0;
  fc.assert(
    fc.property(fc.array(boxed, { minLength: 6, maxLength: 6 }), worlds => {
      const operations = follow(worlds);
      assert.ok(operations.every(operation => 'set' in operation));
      changes += operations.filter(operation => 'set' in operation && operation.set.includes('-box')).length;
    }),
    { numRuns: 10 },
  );
  assert.ok(changes > 30, `${changes} changes`);
});
