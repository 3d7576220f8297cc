/** Random clusters and policies: the specification's words = evaluate = the compiled sets = permits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newCompiler } from '../../policy/compile.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { permits } from '../../policy/permits.ts';
import { tableOf } from '../../policy/table.ts';
import type { Packet } from '../../policy/types.ts';
import { naive } from './naive.ts';
import { hooks, simulate } from './simulate.ts';
import { NODES, probes, toCluster, world } from './world.ts';

test('naive, evaluate, the compiled table and permits agree on every pair and port', () => {
  let allowed = 0;
  let denied = 0;
  fc.assert(
    fc.property(world, all => {
      const cluster = toCluster(all, 'n0');
      const rules = new Map(NODES.map(({ name }) => [name, newCompiler()({ ...cluster, self: name })]));
      const tables = new Map([...rules].map(([name, set]) => [name, tableOf(set)]));
      for (const probe of probes(all)) {
        const expected = naive(all, probe);
        if (expected) allowed += 1;
        else denied += 1;
        const text = JSON.stringify(probe);
        assert.equal(evaluate(cluster, probe as Packet).allowed, expected, `evaluate ${text}`);
        assert.equal(simulate(all, tables, probe), expected, `table ${text}`);
        const permitted = hooks(all, probe).every(name => {
          const set = rules.get(name);
          return set !== undefined && permits(set, probe as Packet);
        });
        assert.equal(permitted, expected, `permits ${text}`);
      }
    }),
    { numRuns: Number(process.env.WEFT_RUNS ?? 100) },
  );
  // A generator that allows or denies everything would prove nothing.
  assert.ok(denied > allowed / 100 && allowed > denied / 100, `${allowed} allowed, ${denied} denied`);
});
