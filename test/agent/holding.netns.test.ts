/** What others do, API servers and peers, while two nodes go on talking: nothing of theirs may be lost. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Faults } from '../apiserver/faults.ts';
import { record } from '../lab/capture.ts';
import {
  type Lab,
  type Member,
  NODES,
  nodeObject,
  startLab,
  untilInstalled,
  untilMeshed,
} from '../lab/lab.ts';
import { untilAnswers } from '../lab/reach.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { assertLossless } from '../lab/traffic.ts';
import { UNDERLAY } from '../lab/underlay.ts';
import { until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

let lab: Lab;
let a: Member;
let b: Member;
let c: Member;
let podA: Pod;
let podB: Pod;

before(async () => {
  lab = await startLab();
  [a, b, c] = (await Promise.all([1, 2, 3].map(n => lab.join(n)))) as [Member, Member, Member];
  await Promise.all([a, b, c].map(m => untilInstalled(m)));
  [podA, podB] = await Promise.all([addPod(a, 'poda'), addPod(b, 'podb')]);
  await untilMeshed([a, b, c]);
});

after(async () => lab?.end());

const peersOf = async (m: Member): Promise<readonly string[]> =>
  ((await m.status())?.peers ?? []).map(peer => peer.node);

const connected = (m: Member): Promise<true> =>
  until(`${m.name} to be connected`, async () => (await m.status())?.api.connected || undefined, 40_000);

const reached = (from: Pod, address: string): Promise<true> => untilAnswers(from, address, 20_000);

const nothingInClear = async (name: string, work: () => Promise<void>): Promise<void> => {
  const capture = await record(UNDERLAY, join(lab.dir, `${name}.pcap`));
  await work();
  assert.equal(await (await capture.stop()).count('net 10.42.0.0/16 or net fd42::/48'), 0);
};

/** Each as long as it takes the agents to meet it; `again`: they must list anew. */
const troubles: readonly (readonly [string, Faults, boolean])[] = [
  ['answers 500', { status: 500 }, true],
  ['answers nothing', { hang: true }, true],
  ['expires every watch', { expireWatch: true }, true],
  ['has lost all Nodes', { emptyList: true }, true],
  ['lists what was long ago', { staleList: 1 }, true],
  ['is slow', { delayMs: 1_500 }, true],
];

test('an API server that fails in every way costs no packet and no peer', async () => {
  await assertLossless(podA, podB, 9, async () => {
    for (const [what, faults, again] of troubles) {
      lab.api.order(faults);
      if (again) await lab.api.restart({ forget: true });
      await sleep(1_200);
      for (const m of [a, b, c]) assert.equal((await peersOf(m)).length, 2, `${m.name}, where it ${what}`);
    }
    lab.api.order({});
    await lab.api.restart({ forget: true });
  });
  await Promise.all([a, b, c].map(connected));
});

/** As after a power cut, but for what lies on disk. */
async function reboot(m: Member): Promise<void> {
  await m.stop('SIGKILL');
  const wipe = 'ip link del weft-wg; ip link del weft0; nft flush ruleset; rm -rf /run/weft';
  await m.namespace.run(['sh', '-c', wipe]);
}

const stateOf = (m: Member): string => join(lab.dir, m.name, 'state');

test('a node that reboots, loses its key or gets other networks costs the others nothing', async () => {
  const key = async (): Promise<string> => (await c.status())?.publicKey ?? '';
  await nothingInClear('reboot', () =>
    assertLossless(podA, podB, 9, async () => {
      await reboot(c);
      c.start();
      await reached(podA, '10.42.3.1');
      const before = await key();
      await reboot(c);
      rmSync(join(stateOf(c), 'key.json'));
      c.start();
      await reached(podA, '10.42.3.1');
      assert.notEqual(await key(), before);
      const other = { podCIDR: '10.42.33.0/24', podCIDRs: ['10.42.33.0/24', 'fd42:0:0:33::/64'] };
      lab.api.store.remove(NODES, undefined, c.name);
      lab.api.store.create(NODES, undefined, { ...nodeObject(3), spec: other });
      await reached(podA, '10.42.33.1');
      lab.api.store.remove(NODES, undefined, c.name);
      lab.api.store.create(NODES, undefined, nodeObject(3));
      await reached(podA, '10.42.3.1');
    }),
  );
});

const KEY = 'weft.network/public-key';
const shown = (): string => lab.api.store.get(NODES, undefined, b.name).metadata.annotations?.[KEY] ?? '';
const annotate = (annotations: Readonly<Record<string, string | null>>): unknown =>
  lab.api.store.patch(NODES, undefined, b.name, { metadata: { annotations } }, 'main');

const spoilt: readonly (readonly [string, Readonly<Record<string, string | null>>])[] = [
  ['garbles', { [KEY]: 'garbled' }],
  ['takes away', { [KEY]: null }],
  ['takes away with all that is ours', { [KEY]: null, 'weft.network/endpoints': null }],
];

for (const [what, annotations] of spoilt)
  test(`a public key that somebody ${what} costs nothing: the last one stays, and the agent puts it right`, async () => {
    const good = shown();
    await assertLossless(podA, podB, 3, async () => {
      annotate(annotations);
      await until('it to be put right', () => shown() === good || undefined, 10_000, 20);
    });
  });

test('nor where no agent is there to put it right, and the others start anew', async () => {
  const good = shown();
  await b.stop('SIGKILL');
  await assertLossless(podA, podB, 6, async () => {
    annotate({ [KEY]: null, 'weft.network/endpoints': null });
    await until('it to be told', async () =>
      (await a.status())?.warnings.some(w => w.node === b.name && w.message.includes(KEY)),
    );
    await a.stop('SIGKILL');
    a.start();
    await connected(a);
  });
  b.start();
  await until('it to be put right', () => shown() === good || undefined, 10_000, 20);
});

test('private keys are in no log, no status and no metric, and no file of theirs is open to others', async () => {
  const scrape = `fetch('http://127.0.0.1:9807/metrics').then(r => r.text()).then(t => process.stdout.write(t))`;
  for (const m of [a, b, c]) {
    const file = join(stateOf(m), 'key.json');
    const { privateKey } = JSON.parse(readFileSync(file, 'utf8')) as { readonly privateKey: string };
    const metrics = await m.namespace.run([process.execPath, '-e', scrape]);
    assert.match(metrics, /weft_build_info/);
    const said = [readFileSync(m.logFile, 'utf8'), JSON.stringify(await m.status()), metrics];
    for (const text of said) assert.ok(!text.includes(privateKey));
    assert.deepEqual([statSync(file).mode & 0o777, statSync(stateOf(m)).mode & 0o777], [0o600, 0o700]);
  }
});

test('a list that has lost more than half of the Nodes is held, and believed when it is confirmed', async () => {
  await lab.api.stop();
  for (const m of [b, c]) lab.api.store.remove(NODES, undefined, m.name);
  await lab.api.restart({ forget: true });
  await connected(a);
  assert.equal((await peersOf(a)).length, 2);
  await assertLossless(podA, podB, 2, async () => {});
  assert.match(readFileSync(a.logFile, 'utf8'), /lacks 2 known Nodes, more than half: they stay/);
  await until('both to go', async () => (await peersOf(a)).length === 0 || undefined, 30_000);
});
