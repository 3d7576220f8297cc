/** What weft itself says of peers while the network and the other ends break. Nothing else is looked at. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ANNOTATION_PREFIX } from '../../constants.ts';
import { type Lab, type Member, NODES, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { enterLab } from '../lab/reenter.ts';
import { until } from '../lab/wait.ts';
import { faults, readSchema } from '../schema.ts';

await enterLab(import.meta.filename);

const MAIN = join(import.meta.dirname, '..', '..', 'main.ts');

let lab: Lab;
let a: Member;
let b: Member;
let c: Member;

before(async () => {
  lab = await startLab();
  [a, b, c] = await Promise.all([lab.join(1), lab.join(2), lab.join(3)]);
  await Promise.all([a, b, c].map(m => untilInstalled(m)));
  await untilMeshed([a, b, c], 30_000);
});

after(async () => lab?.end());

type Peer = { readonly node: string; readonly state: string; readonly reason?: string };

/** As a person on the node runs it; exit code 1 says that something is wrong. */
const weft = (m: Member, ...args: string[]): Promise<string> =>
  m.namespace.run([process.execPath, MAIN, ...args]).catch((error: { stdout?: string; code?: number }) => {
    if (error.code !== 1) throw error;
    return error.stdout ?? '';
  });

const peerOf = async (m: Member, of: Member): Promise<Peer | undefined> =>
  (JSON.parse(await weft(m, 'peers', '-o', 'json')) as { peers: Peer[] }).peers.find(p => p.node === of.name);

/** Waits until weft on `m` says so of `of`; a failure says what it says instead. */
async function says(m: Member, of: Member, state: string, reason?: RegExp): Promise<void> {
  let last: Peer | undefined;
  await until(
    `${m.name} to call ${of.name} ${state}`,
    async () => {
      last = await peerOf(m, of);
      return last?.state === state && (reason?.test(last.reason ?? '') ?? last.reason === undefined)
        ? true
        : undefined;
    },
    40_000,
    700,
  ).catch(error => {
    throw new Error(`${(error as Error).message}; it says ${JSON.stringify(last)}`);
  });
}

/** `m` drops what comes from `others` by the underlay. */
async function drop(m: Member, ...others: readonly Member[]): Promise<void> {
  await m.namespace.run(['nft', 'add table inet broken']);
  await m.namespace.run(['nft', 'add chain inet broken i { type filter hook input priority -300; }']);
  for (const { v4, v6 } of others.map(other => other.address)) {
    await m.namespace.run(['nft', `add rule inet broken i ip saddr ${v4} udp dport 51820 drop`]);
    await m.namespace.run(['nft', `add rule inet broken i ip6 saddr ${v6} udp dport 51820 drop`]);
  }
}

const mend = (m: Member): Promise<string> => m.namespace.run(['nft', 'delete table inet broken']);

test('what agents and verbs print is as docs/schema has it', async () => {
  const asked: Readonly<Record<string, readonly string[]>> = {
    'agent-status': ['get', '/status'],
    'agent-doctor': ['get', '/doctor'],
    'agent-ping': ['get', '/ping?count=1'],
    'agent-policy': ['get', '/policy?src=10.42.1.1&dst=10.42.2.1&port=80'],
    status: ['status', '-o', 'json'],
    peers: ['peers', '-o', 'json'],
    ping: ['ping', '-c', '1', '-o', 'json'],
    graph: ['graph', '-o', 'json'],
    doctor: ['doctor', '-o', 'json'],
    explain: ['explain', '10.42.1.1', '10.42.2.1', '-o', 'json'],
    version: ['version', '-o', 'json'],
  };
  for (const [name, args] of Object.entries(asked))
    assert.deepEqual(faults(readSchema(`${name}.json`), JSON.parse(await weft(a, ...args))), [], name);
});

test('one way dropped, both ways dropped and an agent dead are told apart', async () => {
  // a → b is lost; b and c hear nothing of each other; c's agent is dead.
  await Promise.all([drop(b, a, c), drop(c, b), c.stop('SIGKILL')]);
  await Promise.all([
    says(a, b, 'pending', /say that it gets none of this node .*from here to \S+ are dropped/),
    says(b, a, 'retrying', /no answer from \S+ for \d+ s, and nothing at all has come from node1/),
    says(b, c, 'retrying', /nothing at all has come from node3 for \d+ s: is node3 up, and UDP 51820 open/),
    says(a, c, 'pending', /the tunnel to node3 is up .* the agent there has not answered .* is it running\?/),
  ]);
  assert.match(await weft(a, 'status'), /What is wrong\n {2}node1, peer node2: pending: packets of node2/);
  assert.match(await weft(a, 'ping', 'node2'), /0\/3/);
  const metrics = await a.namespace.run(['curl', '-sS', 'http://127.0.0.1:9807/metrics']);
  assert.match(metrics, /weft_peers\{state="pending"\} 2/);
  assert.match(metrics, /weft_peer_established\{peer="node2"\} 0/);
  assert.match(metrics, /weft_plaintext_dropped_packets_total 0/);
  assert.match(metrics, /weft_peer_answer_age_seconds\{peer="node2"\} \d/);
});

test('on the node whose agent is dead the doctor says what it sees without it, and other verbs say so', async () => {
  const doctor = await weft(c, 'doctor');
  assert.match(
    doctor,
    /ERROR {2}the agent of this node cannot be asked: the agent of this node is not running: nobody/,
  );
  assert.match(doctor, /cure: look why its pod does not run: kubectl -n weft get pods/);
  assert.match(doctor, /ok {5}the key on disk is whole, and the one in use/);
  assert.match(doctor, /tunnels? have a session/);
  assert.match(doctor, /ok {5}\d+ routes of weft’s are in place/);
  const { findings } = JSON.parse(await weft(c, 'doctor', '--local', '-o', 'json')) as {
    findings: { id: string }[];
  };
  assert.equal(findings[0]?.id, 'agent');
  await assert.rejects(
    weft(c, 'status'),
    /is not running: nobody listens on \S+; weft doctor says what can be seen/,
  );
});

test('their end is said, and of a Node with a wrong key that no handshake comes of it', async () => {
  await Promise.all([mend(b), mend(c)]);
  const annotations = { [`${ANNOTATION_PREFIX}public-key`]: Buffer.alloc(32, 7).toString('base64') };
  lab.api.store.patch(NODES, undefined, c.name, { metadata: { annotations } }, 'main');
  await Promise.all([
    says(a, b, 'established'),
    says(b, a, 'established'),
    says(a, c, 'retrying', /no handshake with the key that node3 publishes: is the agent there running/),
  ]);
  assert.match(await weft(a, 'ping', 'node2', '--full'), /1420 +3\/3/);
  c.start();
  await Promise.all([says(a, c, 'established'), says(b, c, 'established')]);
});
