/** Other people's firewalls and hands, on two nodes with real agents: pods still talk, and what cannot be cured is said. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ensureForward, removeForward } from '../../host/ensure.ts';
import type { Finding } from '../../host/types.ts';
import { openFirewalls } from '../../platform/linux/firewall.ts';
import { type Lab, type Member, NODES, startLab, untilInstalled, untilMeshed } from '../lab/lab.ts';
import { here } from '../lab/namespace.ts';
import { answers } from '../lab/reach.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod, type Pod } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

let lab: Lab;
let a: Member;
let b: Member;
let podA: Pod;
let podB: Pod;

/** As Docker leaves it. */
const DOCKER = `
iptables-nft -N DOCKER-USER; iptables-nft -N DOCKER
iptables-nft -A DOCKER ! -i docker0 -o docker0 -j DROP
iptables-nft -A FORWARD -j DOCKER-USER; iptables-nft -A FORWARD -j DOCKER
iptables-nft -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -o docker0 -j ACCEPT
iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP`;

const NATIVE = `table inet mine {
  chain through {
    type filter hook forward priority 5; policy drop;
    ct state invalid drop
  }
}`;

const LEGACY = 'iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP';

const shell = (m: Member, script: string): Promise<string> => m.namespace.run(['sh', '-ec', script]);

before(async () => {
  lab = await startLab();
  [a, b] = await Promise.all([lab.join(1), lab.join(2)]);
  await Promise.all([untilInstalled(a), untilInstalled(b)]);
  await shell(a, DOCKER);
  await b.namespace.run(['nft', '-f', '-'], { stdin: NATIVE });
  await shell(b, LEGACY);
  [podA, podB] = await Promise.all([addPod(a, 'poda'), addPod(b, 'podb')]);
  await untilMeshed([a, b]);
});

after(async () => lab?.end());

const talk = async (): Promise<true | undefined> => {
  for (const [from, to] of [
    [podA, podB],
    [podB, podA],
  ] as const)
    for (const ip of [to.v4, to.v6]) if (!(await answers(from, ip ?? ''))) return undefined;
  return true;
};

const untilTalking = (what: string, withinMs = 8_000): Promise<true> =>
  until(`pods to talk ${what}`, talk, withinMs);

type HostStatus = { readonly findings: readonly Finding[]; readonly looks: number };

const hostStatus = async (m: Member): Promise<HostStatus | undefined> =>
  ((await m.status()) as unknown as { readonly host: HostStatus } | undefined)?.host;

const findings = async (m: Member): Promise<readonly Finding[]> => (await hostStatus(m))?.findings ?? [];

/** Waits for a look that begins after this call. */
async function looked(m: Member): Promise<void> {
  for (const table of ['one', 'two']) {
    const before = (await hostStatus(m))?.looks ?? 0;
    await shell(m, `nft add table ip ${table}; nft delete table ip ${table}`);
    await until('a look', async () => ((await hostStatus(m))?.looks ?? 0) > before || undefined);
  }
}

const finding = (m: Member, id: string): Promise<Finding> =>
  until(`${m.name} to say ${id}`, async () => (await findings(m)).find(f => f.id === id), 8_000);

const gone = (m: Member, id: string): Promise<true> =>
  until(
    `${m.name} to say no more ${id}`,
    async () => ((await findings(m)).some(f => f.id === id) ? undefined : true),
    8_000,
  );

const ours = (text: string): readonly string[] => text.split('\n').filter(line => line.includes('weft'));

const RULES = ['-i weft+', '-o weft+', '-o wv+'].map(
  way => `-A FORWARD ${way} -m comment --comment weft -j ACCEPT`,
);

test('pods talk through chains with policy drop of iptables-nft, iptables-legacy and nft', async () => {
  await untilTalking('through FORWARD with policy drop', 15_000);
  for (const program of ['iptables-nft', 'ip6tables-nft'])
    assert.deepEqual(ours(await a.namespace.run([program, '-S', 'FORWARD'])), RULES);
  for (const program of ['iptables-legacy', 'ip6tables-legacy'])
    assert.deepEqual(ours(await b.namespace.run([program, '-S', 'FORWARD'])), RULES);
  const rules = (await shell(a, 'iptables-nft -S FORWARD')).trim().split('\n');
  assert.deepEqual(rules.slice(-3), RULES, 'appended, behind those of others');
  assert.equal(ours(await shell(b, 'nft list table inet mine')).length, 3);
  assert.equal((await finding(a, 'forward ip filter FORWARD')).severity, 'info');
  assert.equal((await finding(b, 'forward inet mine through')).severity, 'info');
  assert.equal((await finding(b, 'forward legacy ip6 filter FORWARD')).severity, 'info');
});

test('the rules come back after a reload, and a save and restore doubles nothing', async () => {
  await shell(a, 'iptables-nft-save | grep -v weft > /run/rules; iptables-nft-restore < /run/rules');
  await shell(b, 'iptables-legacy -F FORWARD');
  await untilTalking('after a reload', 12_000);
  await shell(a, 'iptables-nft-save > /run/rules; iptables-nft-restore < /run/rules');
  await looked(a);
  await untilTalking('after a restore');
  assert.deepEqual(ours(await shell(a, 'iptables-nft -S FORWARD')), RULES);
});

test('a rule of others that drops everything before ours is said with a cure, and left alone', async () => {
  await shell(a, 'iptables-nft -I FORWARD -j REJECT');
  const { severity, what, cure } = await finding(a, 'forward ip filter FORWARD').then(async () =>
    until('the error', async () =>
      (await findings(a)).find(f => f.id === 'forward ip filter FORWARD' && f.severity === 'error'),
    ),
  );
  assert.equal(severity, 'error');
  assert.match(what, /FORWARD: reject/);
  assert.ok(cure);
  await shell(a, 'iptables-nft -D FORWARD -j REJECT');
  await untilTalking('without that rule');
});

test('strict reverse path filters of the host do not cut pods off', async () => {
  await shell(a, 'for f in all default eth0; do echo 1 > /proc/sys/net/ipv4/conf/$f/rp_filter; done');
  await untilTalking('under rp_filter=1');
  await a.namespace.run(['ping', '-n', '-c', '1', '-W', '2', podB.v4 ?? '']);
  const late = await addPod(a, 'late');
  assert.ok(await answers(late, podB.v4 ?? ''));
  assert.ok(await answers(podB, late.v4 ?? ''));
});

test('all our routes and neighbours are gone at once, as after a restart of systemd-networkd: mended', async () => {
  a.agent()?.kill('SIGSTOP');
  await shell(a, 'ip route flush proto 119; ip -6 route flush proto 119; ip neigh flush all nud permanent');
  assert.equal((await shell(a, 'ip route show proto 119')).trim(), '');
  a.agent()?.kill('SIGCONT');
  await untilTalking('with their routes back');
});

test('leftovers of other pod networks, and IPVS are said and never deleted', async () => {
  await shell(a, 'for l in flannel.1 cni0 cilium_host kube-ipvs0; do ip link add $l type bridge; done');
  for (const id of ['foreign flannel', 'foreign cilium', 'kube-proxy ipvs']) {
    const { what, cure } = await finding(a, id);
    assert.ok(what && cure);
  }
  assert.match(await shell(a, 'ip -br link'), /flannel\.1[\s\S]*kube-ipvs0/);
  await shell(a, 'for l in flannel.1 cni0 cilium_host kube-ipvs0; do ip link del $l; done; rm /run/rules');
  await gone(a, 'foreign flannel');
});

test('a UDP port that somebody else holds is an error that names the holder', async () => {
  await b.stop();
  await b.namespace.run(['ip', 'link', 'del', 'weft-wg']);
  const sockets = async (count: string): Promise<true | undefined> =>
    (await shell(b, 'grep -c :CA6C /proc/net/udp || true')).trim() === count || undefined;
  await until('the end of wireguard-go', () => sockets('0'));
  const bind = "require('dgram').createSocket('udp4').bind(51820)";
  const holder = b.namespace.start([process.execPath, '-e', bind]);
  after(() => holder.kill());
  await until('the port to be held', () => sockets('1'));
  b.start();
  const { what } = await finding(b, 'udp port');
  assert.match(what, new RegExp(`51820.* held by the process \\S+ \\(pid ${holder.pid}\\)`));
  const status = (await b.status()) as unknown as { readonly parts: readonly { readonly reason?: string }[] };
  assert.match(
    status.parts.map(p => p.reason).join(),
    /Address already in use: UDP port 51820 is held by the process/,
  );
  holder.kill();
  await untilTalking('with the port free', 20_000);
  await gone(b, 'udp port');
});

test('the condition NetworkUnavailable that a cloud sets is cleared, and the others stay', async () => {
  const conditions = [
    { type: 'Ready', status: 'True' },
    { type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' },
  ];
  lab.api.store.patch(NODES, undefined, 'node1', { status: { conditions } }, 'status');
  const now = (): readonly unknown[] => {
    const { status } = lab.api.store.get(NODES, undefined, 'node1') as unknown as {
      readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] };
    };
    return status.conditions.map(one => `${one.type}=${one.status}`);
  };
  await until('it to be cleared', () => now().includes('NetworkUnavailable=False') || undefined);
  assert.deepEqual(now(), ['Ready=True', 'NetworkUnavailable=False']);
});

test('removal leaves other people’s chains as they were', async () => {
  await here(['sh', '-ec', `${DOCKER}\n${LEGACY}`]);
  await here(['nft', '-f', '-'], { stdin: NATIVE });
  const state = (): Promise<string> =>
    here(['sh', '-ec', 'nft -s list ruleset; iptables-legacy -S; ip6tables-legacy -S; iptables-nft -S']);
  const whole = await state();
  const firewalls = openFirewalls();
  assert.equal((await ensureForward(firewalls)).forward.length, 5);
  assert.notEqual(await state(), whole);
  assert.equal(await removeForward(firewalls), 5);
  assert.equal(await state(), whole);
  assert.equal(await removeForward(firewalls), 0);
});
