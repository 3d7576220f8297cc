/** The agent's life, the API server's life and foreign hands, on two nodes with real agents. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONFLIST } from '../../constants.ts';
import { record } from '../lab/capture.ts';
import { type Lab, type Member, NODES, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { here } from '../lab/namespace.ts';
import { answers } from '../lab/reach.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, deletePod, type Pod } from '../lab/runtime.ts';
import { assertLossless } from '../lab/traffic.ts';
import { UNDERLAY } from '../lab/underlay.ts';
import { until, untilStill } from '../lab/wait.ts';

await enterLab(import.meta.filename);

let lab: Lab;
let a: Member;
let b: Member;
let podA: Pod;
let podB: Pod;

before(async () => {
  lab = await startLab();
  [a, b] = await Promise.all([lab.join(1), lab.join(2)]);
  await Promise.all([untilInstalled(a), untilInstalled(b)]);
  [podA, podB] = await Promise.all([addPod(a, 'poda'), addPod(b, 'podb')]);
  await untilMeshed([a, b]);
});

after(async () => lab?.end());

const lines = async (m: Member, ...argv: string[]): Promise<string[]> =>
  (await m.namespace.run(argv)).split('\n').filter(Boolean).sort();

const ready = (m: Member): Promise<true> =>
  until(`${m.name} to be ready`, async () => (await m.status())?.ready || undefined);

const mended = (what: string, look: () => Promise<boolean>): Promise<true> =>
  until(what, async () => (await look().catch(() => false)) || undefined, 5_000, 50);

const putBack = async (kind: string): Promise<number> => (await a.status())?.mended[kind] ?? 0;

const netOf = (pid: string): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
};

test('an idle agent changes nothing and writes nothing', async () => {
  // A peer that was met before it had published where it is gets its keepalive by the next pass, up to 2 s later.
  await untilStill('the mesh', async () => (await a.status())?.reconcile.changes, 4_000);
  const before = await a.status();
  const version = lab.api.store.version();
  await sleep(3_000);
  const after = await a.status();
  assert.ok(before && after);
  assert.equal(after.reconcile.changes, before.reconcile.changes);
  // Looks at the engine, and at what tells no news. The statuses asked for here are among them.
  assert.ok(
    after.reconcile.spawns - before.reconcile.spawns <= 20,
    `${after.reconcile.spawns - before.reconcile.spawns} programs were started in 3 s`,
  );
  assert.equal(lab.api.store.version(), version);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const)
  test(`no packet is lost over an agent that is ended with ${signal} and started again`, async () => {
    await assertLossless(podA, podB, 6, async () => {
      await sleep(1_000);
      await a.stop(signal);
      await sleep(1_500);
      a.start();
      await ready(a);
    });
  });

test('no packet is lost while the API server is away, and an agent starts without it', async () => {
  await assertLossless(podA, podB, 6, async () => {
    await lab.api.stop();
    await a.stop('SIGKILL');
    a.start();
    await until('the agent to know its peers from disk', async () =>
      (await a.status())?.peers.length === 1 ? true : undefined,
    );
    const pod = await addPod(a, `without-api-${Date.now()}`);
    assert.ok(await answers(pod, podB.v4 ?? ''));
    await lab.api.start();
  });
});

test('a tunnel route that somebody deletes comes back', async () => {
  await a.namespace.run(['ip', 'route', 'del', '10.42.2.0/24', 'dev', 'weft-wg']);
  await mended('the route', async () => (await lines(a, 'ip', 'route', 'show', '10.42.2.0/24')).length === 1);
  assert.ok(await answers(podA, podB.v4 ?? ''));
});

test('rules that somebody flushes, and a table that somebody deletes, come back', async () => {
  const wanted = await lines(a, 'nft', '-s', 'list', 'table', 'inet', 'weft');
  await a.namespace.run(['nft', 'flush', 'chain', 'inet', 'weft', 'egress']);
  const same = async () =>
    (await lines(a, 'nft', '-s', 'list', 'table', 'inet', 'weft')).join() === wanted.join();
  await mended('the rules', same);
  await a.namespace.run(['nft', 'delete', 'table', 'inet', 'weft']);
  await mended('the table', same);
});

test('the table against spoofing comes back with its pods in it', async () => {
  const wanted = await lines(a, 'nft', '-s', 'list', 'table', 'bridge', 'weft');
  await a.namespace.run(['nft', 'delete', 'table', 'bridge', 'weft']);
  await mended(
    'the table',
    async () => (await lines(a, 'nft', '-s', 'list', 'table', 'bridge', 'weft')).join() === wanted.join(),
  );
  assert.ok(await answers(podA, podB.v4 ?? ''));
});

test('tables of another shape and no memory of them, as another version leaves them, are replaced without loss', async () => {
  const shape = async (): Promise<string> =>
    (
      await Promise.all(
        ['inet', 'bridge'].map(family => lines(a, 'nft', '-s', 'list', 'table', family, 'weft')),
      )
    )
      .flat()
      .join();
  const wanted = await shape();
  const other = `
    nft add chain inet weft earlier
    nft add rule inet weft egress counter comment earlier
    nft add rule bridge weft ingress counter comment earlier
    rm /run/weft/tables.json`;
  await assertLossless(podA, podB, 4, async () => {
    await a.stop();
    await a.namespace.run(['sh', '-ec', other]);
    a.start();
    await until('the tables', async () => (await shape().catch(() => '')) === wanted || undefined);
  });
});

test('links that somebody takes down or out of the bridge come back', async () => {
  await a.namespace.run(['ip', 'link', 'set', 'weft-wg', 'down']);
  await mended('the tunnel', () => answers(podA, podB.v4 ?? ''));
  const port = podA.result.interfaces[0]?.name ?? '';
  await a.namespace.run(['ip', 'link', 'set', port, 'nomaster']);
  await mended('the port', async () =>
    (await a.namespace.run(['ip', 'link', 'show', port])).includes('master weft0'),
  );
  await mended('the pod', () => answers(podA, podB.v6 ?? ''));
});

test('a peer that somebody removes comes back', async () => {
  const key = (await b.status())?.publicKey ?? '';
  const before = await putBack('peers');
  await a.namespace.run(['wg', 'set', 'weft-wg', 'peer', key, 'remove']);
  await mended('the peer', () => answers(podA, podB.v4 ?? ''));
  await a.namespace.run(['wg', 'set', 'weft-wg', 'peer', key, 'allowed-ips', '10.99.0.0/16']);
  await mended('its networks', () => answers(podA, podB.v6 ?? ''));
  await mended('both to be counted', async () => (await putBack('peers')) >= before + 2);
});

test('a setting of the kernel that somebody writes is put back', async () => {
  const before = await putBack('sysctls');
  await a.namespace.run(['sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward']);
  await mended(
    'forwarding',
    async () => (await a.namespace.run(['cat', '/proc/sys/net/ipv4/ip_forward'])).trim() === '1',
  );
  await mended('it to be counted', async () => (await putBack('sysctls')) === before + 1);
  assert.ok(await answers(podA, podB.v4 ?? ''));
});

test('configuration and binary that somebody takes from the runtime are put back', async () => {
  const before = await putBack('files');
  const conflist = join(a.confDir, CONFLIST);
  const binary = join(a.binDir, 'weft-cni');
  const text = readFileSync(conflist, 'utf8');
  const same = async (): Promise<boolean> => readFileSync(conflist, 'utf8') === text;
  rmSync(conflist);
  rmSync(binary);
  await mended('both', async () => existsSync(binary) && (await same()));
  writeFileSync(conflist, text.replace('"weft-cni"', '"bridge"'));
  await mended('its text', same);
  await mended('all three to be counted', async () => (await putBack('files')) === before + 3);
});

test('a tunnel that somebody deletes is made anew, and nothing leaves in clear meanwhile', async () => {
  const capture = await record(UNDERLAY, join(lab.dir, 'anew.pcap'));
  await a.namespace.run(['ip', 'link', 'del', 'weft-wg']);
  await until('the new tunnel', async () => (await answers(podA, podB.v4 ?? '')) || undefined, 15_000, 50);
  assert.equal(await (await capture.stop()).count('net 10.42.0.0/16 or net fd42::/48'), 0);
  assert.ok((await putBack('tunnel')) > 0);
});

test('an engine that hangs holds nothing up, and goes on when it is let', async () => {
  const pids = (await a.namespace.run(['sh', '-c', 'pgrep -f "wireguard-go weft-wg" || true'])).split('\n');
  const namespace = await a.namespace.run(['readlink', '/proc/self/ns/net']);
  const ours = pids.filter(pid => pid !== '' && netOf(pid) === namespace.trim());
  // The kernel's own WireGuard has no process.
  if (ours.length === 0) return;
  for (const pid of ours) process.kill(Number(pid), 'SIGSTOP');
  try {
    const pod = await addPod(a, 'meanwhile');
    assert.ok(await answers(pod, podA.v4 ?? ''));
    await mended('it to be told', async () => {
      const status = await a.status();
      return status?.ready === false;
    });
  } finally {
    for (const pid of ours) process.kill(Number(pid), 'SIGCONT');
  }
  await mended('the tunnel', () => answers(podA, podB.v4 ?? ''));
  await ready(a);
});

test('each annotation, broken in turn, is told and stops nobody', async () => {
  // Its own agent would put right what it writes itself.
  await b.stop();
  const broken = {
    'weft.network/endpoints': '[{"t":"host","a":"nowhere"}]',
    'weft.network/force-endpoint': 'not a host:port:at all',
    'weft.network/persistent-keepalive': '99999999',
    'weft.network/relay': 'perhaps',
    'weft.network/location': '',
  };
  for (const [name, value] of Object.entries(broken)) {
    lab.api.store.patch(NODES, undefined, 'node2', { metadata: { annotations: { [name]: value } } }, 'main');
    await until(
      `${name} to be told`,
      async () =>
        (await a.status())?.warnings.some(w => w.node === 'node2' && w.message.includes(name)) || undefined,
    );
    assert.ok(await answers(podA, podB.v4 ?? ''), `${name}=${value}`);
    lab.api.store.patch(NODES, undefined, 'node2', { metadata: { annotations: { [name]: null } } }, 'main');
  }
  b.start();
  await ready(b);
});

test('nothing leaves in clear when the tunnel is gone and the agent is dead', async () => {
  await a.stop('SIGKILL');
  const capture = await record(UNDERLAY, join(lab.dir, 'clear.pcap'));
  await a.namespace.run(['ip', 'link', 'del', 'weft-wg']);
  for (const to of [podB.v4, podB.v6]) {
    assert.equal(await answers(podA, to ?? ''), false);
    await a.namespace.run(['ping', '-n', '-c', '1', '-W', '1', to ?? '']).catch(() => {});
  }
  const seen = await capture.stop();
  assert.equal(await seen.count('net 10.42.0.0/16 or net fd42::/48'), 0);
  a.start();
  await ready(a);
  // The other end keeps its old session until it hears from the new device.
  await until('the new tunnel', async () => (await answers(podA, podB.v4 ?? '')) || undefined, 15_000, 50);
});

test('packets that come in by the underlay with a pod as source or destination are dropped', async () => {
  const counter = ['nft', 'list', 'counter', 'inet', 'weft', 'plaintext_dropped'];
  const before = await a.namespace.run(counter);
  await here(['ip', 'route', 'add', `${podA.v4}/32`, 'via', a.address.v4, 'dev', UNDERLAY]);
  const argv = ['ping', '-n', '-c', '2', '-i', '0.2', '-W', '1', podA.v4 ?? ''];
  const answered = await here(argv).then(
    () => true,
    () => false,
  );
  await here(['ip', 'route', 'del', `${podA.v4}/32`]);
  assert.equal(answered, false);
  assert.notEqual(await a.namespace.run(counter), before);
});

test('pods that come and go, and tables of others, cost no pass over the mesh', async () => {
  await sleep(1_500);
  const before = (await a.status())?.reconcile.runs ?? 0;
  for (let n = 0; n < 5; n += 1) {
    await deletePod(a, await addPod(a, `short${n}`));
    await a.namespace.run(['nft', `add table ip others; add set ip others s${n} { type ipv4_addr; }`]);
    await sleep(600);
  }
  await a.namespace.run(['nft', 'delete', 'table', 'ip', 'others']);
  const after = (await a.status())?.reconcile.runs ?? 0;
  // One comes every 30 s in any case.
  assert.ok(after - before <= 1, `${after - before} passes`);
});

test('a Node that goes takes its peer and routes along, and others stay', async () => {
  const c = await lab.join(3);
  await untilInstalled(c);
  await untilMeshed([a, b, c]);
  await c.stop();
  lab.api.store.remove(NODES, undefined, 'node3');
  await mended(
    'node3 to be gone',
    async () => (await lines(a, 'ip', 'route', 'show', '10.42.3.0/24')).length === 0,
  );
  assert.ok(await answers(podA, podB.v4 ?? ''));
});
