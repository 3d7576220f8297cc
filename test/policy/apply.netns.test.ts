/** Rule sets in a real kernel: what is applied is what is wanted, by whichever way it came there. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
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
import { randomCluster, toPod, toPolicy } from './clusters.ts';
import { history } from './history.ts';
import { toCluster } from './world.ts';

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
    const cluster = randomCluster(seed);
    // The second of the two seldom needs more than elements.
    for (const pods of [cluster.pods.slice(1), cluster.pods]) {
      const next = compile({ ...cluster, pods });
      await applier.change(before, next);
      await holds(next);
      before = next;
    }
  }
  assert.ok(
    calls.some(call => call.startsWith('elements')),
    calls.join(),
  );
});

test('histories of small steps: each leads the kernel to where a new agent would begin', async () => {
  const runs = Number(process.env.WEFT_RUNS ?? 15);
  const seed = Number(process.env.WEFT_SEED ?? Date.now() % 1_000_000);
  const how = new Map<string, number>();
  // A few that are always the same: a sixth of all seeds has no change by elements.
  const histories = [
    ...fc.sample(history(6), { numRuns: 5, seed: 13 }),
    ...fc.sample(history(6), { numRuns: runs, seed }),
  ];
  for (const worlds of histories) {
    const compile = newCompiler();
    const { nft } = counting();
    const kept = memos();
    const applier = openApplier(nft, kept);
    let before: RuleSet | undefined;
    for (const one of worlds) {
      const cluster = toCluster(one, 'n0');
      const next = compile(cluster);
      const applied = await (before === undefined ? applier.adopt(next) : applier.change(before, next));
      how.set(applied.how, (how.get(applied.how) ?? 0) + 1);
      await holds(newCompiler()(cluster)).catch(error => {
        throw new Error(`seed ${seed}: ${JSON.stringify(worlds)}`, { cause: error });
      });
      assert.equal((await openApplier(nft, kept).adopt(next)).how, 'nothing');
      before = next;
    }
  }
  assert.ok((how.get('elements') ?? 0) > 0 && (how.get('text') ?? 0) > 0, JSON.stringify([...how]));
});

/** As many networks and pods as one transaction of elements holds at most, in IPv6, whose elements are the largest. */
test('large sets change by elements, and by text where there are more', async () => {
  const labels = (n: number, round: number): Record<string, string> => ({ group: `g${(n + round) % 2}` });
  const pods = (count: number, round: number) =>
    Array.from({ length: count }, (_, n) =>
      toPod({
        metadata: { namespace: 'x', name: `p${n}`, uid: `u${n}`, labels: labels(n, round) },
        spec: { nodeName: n === 0 ? 'node1' : 'node2', containers: [] },
        status: {
          podIPs: [
            { ip: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` },
            { ip: `fd42::${(n + 1).toString(16)}` },
          ],
        },
      }),
    );
  const blocks = (count: number, round: number) =>
    Array.from({ length: count }, (_, n) => ({
      ipBlock: {
        cidr: `fd00:${(n + round * 7).toString(16)}:1::/48`,
        except: [`fd00:${(n + round * 7).toString(16)}:1:${round}::/64`],
      },
    }));
  const cluster = (count: number, round: number) => ({
    self: 'node1',
    policies: [
      toPolicy({
        metadata: { namespace: 'x', name: 'large' },
        spec: {
          podSelector: {},
          ingress: [
            {
              from: [
                { podSelector: { matchLabels: { group: 'g0' } } },
                ...blocks(Math.ceil(count / 12), round),
              ],
              ports: [{ port: 80 }, { port: 90, endPort: 99 }],
            },
          ],
        },
      }),
    ],
    pods: pods(count, round),
    namespaces: [],
    nodes: [],
    unknown: [],
  });
  const applier = openApplier(kernel.nft, memos());
  const compile = newCompiler();
  let before = compile(cluster(20, 0));
  await applier.adopt(before);
  const seen: string[] = [];
  for (const [count, round] of [
    [24, 1],
    [20, 2],
    [120, 3],
    [100, 3],
    [2_000, 4],
    [2_000, 5],
    [100, 6],
  ] as const) {
    const next = compile(cluster(count, round));
    seen.push((await applier.change(before, next)).how);
    await holds(next);
    before = next;
  }
  // From the fifth on many ranges go, which is no work for the agent's own thread.
  assert.deepEqual(seen, ['elements', 'elements', 'elements', 'elements', 'text', 'text', 'text']);
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
