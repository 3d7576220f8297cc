/** Kubernetes' own 48 cases: as it expects them = naive = evaluate = the compiled tables, step by step. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newCompiler } from '../../policy/compile.ts';
import { diff } from '../../policy/diff.ts';
import { evaluate } from '../../policy/evaluate.ts';
import { tableOf } from '../../policy/table.ts';
import type { Packet, RuleSet, Table } from '../../policy/types.ts';
import { applyOne, type Kernel, kernelOf } from './kernel.ts';
import { naive, type World } from './naive.ts';
import { simulate } from './simulate.ts';
import { type Case, type Check, expected, PODS } from './upstream/case.ts';
import { CASES, ipOf, UPSTREAM_NODES, worldOf } from './upstream/cases.ts';
import { toCluster } from './world.ts';

/** One node's compiler, and its kernel led by differences alone. */
function newNode(name: string): (world: World) => Table {
  const compile = newCompiler();
  let old: RuleSet = compile({ self: name, policies: [], pods: [], namespaces: [], nodes: [], unknown: [] });
  const kernel: Kernel = kernelOf(tableOf(old));
  return world => {
    const now = compile(toCluster(world, name));
    for (const operation of diff(old, now)) applyOne(kernel, operation);
    old = now;
    return kernel;
  };
}

function ask(world: World, tables: ReadonlyMap<string, Table>, check: Check, family: 4 | 6): number {
  const cluster = toCluster(world, 'n0');
  let denied = 0;
  for (const from of PODS)
    for (const to of PODS.filter(other => other !== from)) {
      const { protocol, port } = check;
      const probe = { src: ipOf(family)(from), dst: ipOf(family)(to), protocol, port };
      const wanted = expected(check, from, to);
      const text = `${from} to ${to}, ${protocol} ${port}`;
      if (!wanted) denied += 1;
      assert.equal(naive(world, probe), wanted, `naive: ${text}`);
      assert.equal(evaluate(cluster, probe as Packet).allowed, wanted, `evaluate: ${text}`);
      assert.equal(simulate(world, tables, probe), wanted, `table: ${text}`);
    }
  return denied;
}

/** In a cluster of one family, or of both; networks are of the family that is asked. */
function run(one: Case, family: 4 | 6, families: readonly (4 | 6)[]): number {
  const nodes = new Map(UPSTREAM_NODES.map(({ name }) => [name, newNode(name)]));
  let denied = 0;
  for (const step of one.steps(ipOf(family))) {
    const world = worldOf(step, families);
    const tables = new Map([...nodes].map(([name, follow]) => [name, follow(world)]));
    for (const check of step.checks) denied += ask(world, tables, check, family);
  }
  return denied;
}

const ALLOWS_ALL = /allow-all policy$|pods in all namespaces$/;

describe('upstream', () => {
  for (const one of CASES)
    test(one.name, () => {
      const denied = [run(one, 4, [4]), run(one, 6, [6]), run(one, 4, [4, 6]), run(one, 6, [6, 4])];
      assert.ok(denied.every(count => count > 0 !== ALLOWS_ALL.test(one.name)));
    });
});

test('there are 48, each with a name of its own', () => {
  assert.equal(CASES.length, 48);
  assert.equal(new Set(CASES.map(({ name }) => name)).size, 48);
});
