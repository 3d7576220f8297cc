/** Rule sets in a real kernel: what is applied is what is wanted, by whichever way it came there. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { POLICY_TABLE } from '../../constants.ts';
import { openKernel } from '../../platform/linux/kernel.ts';
import type { Nft } from '../../platform/linux/types.ts';
import { openApplier } from '../../policy/apply.ts';
import { newCompiler } from '../../policy/compile.ts';
import { parseListing, tableFrom } from '../../policy/listing.ts';
import { tableOf } from '../../policy/table.ts';
import type { RuleSet, Table } from '../../policy/types.ts';
import { memos } from '../cni/bed.ts';
import { enterLab } from '../lab/reenter.ts';
import { randomCluster } from './clusters.ts';

await enterLab(import.meta.filename);

const kernel = openKernel();
after(() => kernel.close());

/** Plain data that can be compared: sets as sorted lists. */
const plain = ({ chains, sets, maps }: Table) => ({
  chains: [...chains].sort(([a], [b]) => (a < b ? -1 : 1)),
  sets: [...sets].map(([name, set]) => [name, [...set].sort()] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
  maps: [...maps]
    .map(([name, map]) => [name, [...map].sort(([a], [b]) => (a < b ? -1 : 1))] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1)),
});

/** The kernel's table without what the kernel itself fills. */
async function inKernel(rules: RuleSet): Promise<unknown> {
  const text = await kernel.nft.list('inet', POLICY_TABLE);
  assert.ok(text !== undefined);
  const table = tableFrom(parseListing(text), tableOf(rules));
  return plain({
    ...table,
    sets: new Map([...table.sets].filter(([name]) => !/^(?:dropped|cut)/.test(name))),
  });
}

const holds = async (rules: RuleSet): Promise<void> =>
  assert.deepEqual(await inKernel(rules), plain(tableOf(rules)));

/** Counts what goes to the kernel. */
function counting(): { readonly nft: Nft; readonly calls: string[] } {
  const calls: string[] = [];
  const nft: Nft = {
    ...kernel.nft,
    apply: text => {
      calls.push('apply');
      return kernel.nft.apply(text);
    },
    elements: (family, table, changes) => {
      calls.push(`elements ${changes.length}`);
      return kernel.nft.elements(family, table, changes);
    },
  };
  return { nft, calls };
}

test('from any rule set to any other, the kernel has exactly the other', async () => {
  const compile = newCompiler();
  const { nft, calls } = counting();
  const applier = openApplier(nft, memos());
  let before = compile(randomCluster(1));
  assert.equal((await applier.adopt(before)).how, 'whole');
  await holds(before);
  for (let seed = 2; seed < 60; seed += 1) {
    const next = compile(randomCluster(seed));
    await applier.change(before, next);
    await holds(next);
    before = next;
  }
  assert.ok(
    calls.some(call => call.startsWith('elements')),
    calls.join(),
  );
});

test('an agent that starts again writes only what differs', async () => {
  const kept = memos();
  const compile = newCompiler();
  const { nft, calls } = counting();
  const rules = compile(randomCluster(7));
  await openApplier(nft, kept).adopt(rules);
  calls.length = 0;
  assert.equal((await openApplier(nft, kept).adopt(rules)).how, 'nothing');
  assert.deepEqual(calls, []);
  for (let seed = 100; seed < 120; seed += 1) {
    const next = newCompiler()(randomCluster(seed));
    const { how } = await openApplier(nft, kept).adopt(next);
    assert.notEqual(how, 'whole', `seed ${seed}`);
    await holds(next);
  }
});

for (const [what, hand] of [
  ['the table is deleted', ['delete', 'table', 'inet', POLICY_TABLE]],
  ['all rules are flushed', ['flush', 'ruleset']],
  ['the hook chain is flushed', ['flush', 'chain', 'inet', POLICY_TABLE, 'forward']],
  ['a deny chain gets a rule', ['insert', 'rule', 'inet', POLICY_TABLE, 'deny-ingress', 'accept']],
  ['a map is emptied', ['flush', 'map', 'inet', POLICY_TABLE, 'ingress4']],
  ['all rules of the table are flushed', ['flush', 'table', 'inet', POLICY_TABLE]],
] as const)
  test(`after ${what} a look puts it right`, async () => {
    const { execFileSync } = await import('node:child_process');
    const compile = newCompiler();
    const applier = openApplier(kernel.nft, memos());
    const rules = compile(randomCluster(12));
    await applier.adopt(rules);
    const frame = await kernel.nft.list('inet', POLICY_TABLE);
    execFileSync('nft', hand);
    assert.notEqual((await applier.adopt(rules)).how, 'nothing');
    assert.equal(await kernel.nft.list('inet', POLICY_TABLE), frame);
    assert.equal((await applier.adopt(rules)).how, 'nothing');
  });

test('a pod that comes while nothing is known is closed, and everything else stays', async () => {
  const compile = newCompiler();
  const applier = openApplier(kernel.nft, memos());
  const rules = compile(randomCluster(12));
  await applier.adopt(rules);
  const nobody = { self: 'node1', policies: [], pods: [], namespaces: [], nodes: [] };
  const held = newCompiler()({ ...nobody, unknown: ['10.42.1.99'] as never });
  await applier.hold(undefined, held);
  const text = (await kernel.nft.list('inet', POLICY_TABLE)) ?? '';
  assert.match(text, /10\.42\.1\.99 : jump pending/);
  await kernel.nft.elements('inet', POLICY_TABLE, []);
  assert.equal((await applier.adopt(rules)).how, 'elements');
  await holds(rules);
  await applier.remove();
  assert.equal(await kernel.nft.list('inet', POLICY_TABLE), undefined);
  assert.equal((await applier.hold(undefined, held)).how, 'whole');
  assert.match((await kernel.nft.list('inet', POLICY_TABLE)) ?? '', /10\.42\.1\.99 : jump pending/);
});

test('a pod that comes while nothing is known is closed at an address that the earlier life gave to another', async () => {
  const rules = newCompiler()(randomCluster(12));
  const applier = openApplier(kernel.nft, memos());
  await applier.adopt(rules);
  const [ip = '', chain = ''] = [...rules.egress].find(([, target]) => target !== 'pending') ?? [];
  const nobody = { self: 'node1', policies: [], pods: [], namespaces: [], nodes: [] };
  const first = newCompiler()({ ...nobody, unknown: [ip] as never });
  await applier.hold(undefined, first);
  const mapped = async (): Promise<string> => (await kernel.nft.list('inet', POLICY_TABLE)) ?? '';
  assert.equal((await mapped()).split(`${ip} : jump pending`).length, 3, 'closed both ways');
  assert.ok(!(await mapped()).includes(`${ip} : jump ${chain}`));
  // The next one beside it, and this one gone again.
  await applier.hold(first, newCompiler()({ ...nobody, unknown: ['10.42.1.99'] as never }));
  assert.match(await mapped(), /10\.42\.1\.99 : jump pending/);
  await applier.adopt(rules);
  await holds(rules);
});
