/** nft and this kernel take what is rendered, and differences lead to the same table as writing it whole. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { POLICY_TABLE } from '../../constants.ts';
import { newCompiler } from '../../policy/compile.ts';
import { diff } from '../../policy/diff.ts';
import { renderOperations, renderTable } from '../../policy/render.ts';
import { enterLab } from '../lab/reenter.ts';
import { history } from './history.ts';
import { toCluster } from './world.ts';

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

test('random clusters load whole, and change by change', () => {
  let changes = 0;
  let boxes = 0;
  fc.assert(
    fc.property(history(4), worlds => {
      const compile = newCompiler();
      let old = compile(toCluster(worlds[0] as (typeof worlds)[number], 'n0'));
      load(renderTable(old));
      for (const world of worlds.slice(1)) {
        const now = compile(toCluster(world, 'n0'));
        const operations = diff(old, now);
        if (operations.length > 0) load(renderOperations(operations));
        changes += operations.length;
        boxes += operations.filter(op => 'set' in op && op.set.includes('-box')).length;
        old = now;
      }
      const changed = listed();
      load(renderTable(old));
      assert.equal(changed, listed());
    }),
    { numRuns: 25 },
  );
  assert.ok(changes > 50, `${changes} changes`);
  assert.ok(boxes > 0, 'boxes never changed in a living set');
});
