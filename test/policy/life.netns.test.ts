/** Policies over the lives of connections and agents, foreign hands and settings, on two nodes with real agents. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { POLICY_TABLE } from '../../constants.ts';
import { parseListing } from '../../policy/listing.ts';
import { NETWORKPOLICIES } from '../apiserver/resources.ts';
import type { Member } from '../lab/lab.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';
import { type LabPod, type PolicyLab, startPolicyLab } from './lab.ts';
import { both, deny, onlyIn, policy, reaches } from './point.ts';

await enterLab(import.meta.filename);

let lab: PolicyLab;
let one: Member;

before(async () => {
  lab = await startPolicyLab(['a', 'b']);
  one = lab.nodes[0] as Member;
});
after(async () => lab?.end());

const pod = (key: string): LabPod => lab.pods().get(key) as LabPod;

/** Talks all the time, in both directions; the server prints what it hears. */
const TALK = `
const [own, port, to, at] = process.argv.slice(1);
const socket = require('node:dgram').createSocket(own.includes(':') ? 'udp6' : 'udp4');
let peer = to && [Number(at), to];
socket.on('message', (_, from) => { peer ??= [from.port, from.address]; process.stdout.write('.'); });
socket.bind(Number(port), own, () => setInterval(() => peer && socket.send('x', ...peer), 20));
`;

function talk(
  at: LabPod,
  args: readonly string[],
): { readonly heard: () => number; readonly end: () => void } {
  const child = at.pod.namespace.start([process.execPath, '-e', TALK, ...args], { stdio: 'pipe' });
  let heard = 0;
  child.stdout?.on('data', (bytes: Buffer) => (heard += bytes.length));
  return { heard: () => heard, end: () => void child.kill('SIGKILL') };
}

test('a UDP server that goes on talking does not bring a connection back that was cut', async () => {
  await lab.clear();
  for (const [n, own = ''] of both(pod('x/a')).entries()) {
    const server = talk(pod('x/a'), [own, '9000']);
    const client = talk(pod('y/a'), [both(pod('y/a'))[n] ?? '', '9001', own, '9000']);
    try {
      await until(
        'the two to talk',
        async () => (server.heard() > 10 && client.heard() > 10) || undefined,
        20_000,
      );
      await lab.policies([deny('x', 'Ingress')]);
      const quiet = async (): Promise<true | undefined> => {
        const before = server.heard();
        await sleep(1_000);
        return server.heard() === before || undefined;
      };
      await until('the server to hear nothing for a second', quiet, 15_000);
      assert.ok(await quiet());
    } finally {
      for (const end of [server, client]) end.end();
      await lab.clear();
    }
  }
});

test('rules stay while the agent is away, and one that starts without the API server has them at once', async () => {
  const { api } = lab.lab;
  await onlyIn(
    lab,
    policy('x', 'blue', { policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: {} }] }] }),
  );
  /** Without what the kernel counts. */
  const table = async (): Promise<string> => {
    const text = await one.namespace.run(['nft', '-s', 'list', 'table', 'inet', POLICY_TABLE]);
    const { chains, sets } = parseListing(text);
    const named = [
      ...[...chains].map(([name, lines]) => [name, ...lines].join('\n')),
      ...[...sets]
        .filter(([name]) => !/^(?:dropped|cut)/.test(name))
        .map(([name, { elements }]) => [name, ...[...elements].sort()].join('\n')),
    ];
    return named.sort().join('\n');
  };
  const before = await table();
  // What is on disk is a little younger than what is in force.
  await new Promise(resolve => setTimeout(resolve, 2_500));
  await one.stop('SIGKILL');
  await reaches(pod('y/b'), pod('x/a').pod.v4, 'tcp', 80, false);
  await reaches(pod('x/b'), pod('x/a').pod.v4, 'tcp', 80, true);
  await api.stop();
  try {
    await one.namespace.run(['nft', 'delete', 'table', 'inet', POLICY_TABLE]);
    one.start();
    await until(
      'the table to be back',
      async () => ((await table().catch(() => '')) === before ? true : undefined),
      20_000,
    );
    await reaches(pod('y/b'), pod('x/a').pod.v4, 'tcp', 80, false);
    await reaches(pod('x/b'), pod('x/a').pod.v4, 'tcp', 80, true);
  } finally {
    await api.start();
  }
  await lab.settled();
});

test('a table that somebody flushes comes back', async () => {
  await onlyIn(lab, deny('x', 'Ingress'));
  for (const hand of [
    ['flush', 'ruleset'],
    ['flush', 'chain', 'inet', POLICY_TABLE, 'forward'],
    ['delete', 'table', 'inet', POLICY_TABLE],
  ]) {
    await one.namespace.run(['nft', ...hand]);
    await until(
      `the rules after ${hand.join(' ')}`,
      async () => {
        const { ok } = await pod('y/b').prober.try('tcp', pod('x/a').pod.v4 ?? '', 80, 200);
        return ok ? undefined : true;
      },
      15_000,
    );
    // The mesh's own table takes its time; what this looks at is ours.
    await until('the mesh', async () => (await one.status())?.ready || undefined);
  }
  assert.match(await one.namespace.run(['nft', 'list', 'table', 'inet', POLICY_TABLE]), /hook forward/);
});

test('switched off, nothing is watched and the table is gone; connections are kept where that is wished', async () => {
  await onlyIn(lab, deny('x', 'Ingress'));
  await one.stop();
  one.start({ networkPolicy: false });
  await until('the table to be gone', () =>
    one.namespace.run(['nft', 'list', 'table', 'inet', POLICY_TABLE]).then(
      () => undefined,
      () => true,
    ),
  );
  await reaches(pod('y/b'), pod('x/a').pod.v4, 'tcp', 80, true);
  // Switched on again, it must not begin with what it remembers of before.
  assert.doesNotMatch(await one.namespace.run(['ls', '/var/lib/weft', '/run/weft']), /polic/);
  await one.stop();
  lab.lab.api.store.remove(NETWORKPOLICIES, 'x', 'deny-ingress');
  one.start({ policyKeepConnections: true, policyLog: true });
  await lab.settled();
  const kept = await pod('y/a').prober.keep('tcp', pod('x/a').pod.v4 ?? '', 80, 8_000);
  assert.ok(kept.first.ok);
  await lab.policies([deny('x', 'Ingress')]);
  await reaches(pod('y/a'), pod('x/a').pod.v4, 'tcp', 80, false);
  await new Promise(resolve => setTimeout(resolve, 500));
  assert.ok((await kept.again(8_000)).ok);
  kept.close();
});

type LogLine = { readonly msg: string; readonly why?: readonly string[] };

/** Lines of the agent's log about what was dropped. */
const saidDropped = (): readonly LogLine[] =>
  readFileSync(one.logFile, 'utf8')
    .split('\n')
    .filter(line => line.includes('dropped by NetworkPolicies'))
    .map(line => JSON.parse(line) as LogLine);

test('with policyLog what is denied is in the log once, with pods and policies', async () => {
  const [from, to] = [pod('y/b'), pod('x/a').pod];
  for (const _ of [1, 2]) {
    await reaches(from, to.v4, 'tcp', 81, false);
    await reaches(from, to.v6, 'udp', 80, false);
    await reaches(from, to.v6, 'icmp', 0, false);
  }
  const wanted = [`(${to.v4}), TCP 81`, `(${to.v6}), UDP 80`, `(${to.v6}), ICMP`];
  const about = (text: string): readonly LogLine[] =>
    saidDropped().filter(({ msg }) => msg.includes('pod y/b') && msg.endsWith(text));
  for (const text of wanted) {
    const [line, ...more] = await until(text, () => {
      const lines = about(text);
      return lines.length > 0 ? lines : undefined;
    });
    assert.match(line?.why?.join('\n') ?? '', /ingress: denied; pod x\/a is isolated by x\/deny-ingress/);
    assert.deepEqual(more, []);
  }
});
