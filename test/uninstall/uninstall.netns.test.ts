/** A node as it was before weft came: links, addresses, routes, rules, nft, settings, files; with things of others beside. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  type Lab,
  type Member,
  NODES,
  nodeObject,
  startLab,
  untilInstalled,
  untilMeshed,
} from '../lab/lab.ts';
import type { Namespace } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod } from '../lab/runtime.ts';
import { LAB, plug } from '../lab/underlay.ts';
import { until } from '../lab/wait.ts';

await enterLab(import.meta.filename);

const MAIN = join(import.meta.dirname, '../../main.ts');

/** Names that look like ours, and what a host has anyway. */
const FOREIGN = `
ip link add wvlan0 type bridge; ip link set wvlan0 up; ip address add 198.51.100.1/24 dev wvlan0
ip link add weft-other type bridge
ip route add 203.0.113.0/24 via ${LAB.v4} proto 118; ip -6 route add 2001:db8:9::/64 via ${LAB.v6} proto 118
ip rule add from 198.51.100.0/24 lookup main priority 900
iptables-nft -A FORWARD -i wvlan0 -j ACCEPT; iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP
iptables-legacy -P FORWARD DROP
nft add table inet wefty; nft add chain inet wefty weft
mkdir -p /run/wireguard /run/other; touch /run/wireguard/other.sock /run/other/file`;

/** Sorted lines, without what changes by itself. */
const INVENTORY = `
ip -o link | sed 's/^[0-9]*: //; s/qlen [0-9]*//'; ip -o address | sed 's/^[0-9]*: //; s/ tentative//; s/valid_lft .*//'
ip route show table all; ip -6 route show table all | sed 's/ expires [0-9]*sec//'; ip rule; ip -6 rule
ip neigh show nud permanent; ip -6 neigh show nud permanent
nft -s list ruleset; iptables-nft -S; ip6tables-nft -S; iptables-legacy -S
for f in ipv4/ip_forward ipv6/conf/all/forwarding ipv6/conf/default/accept_ra ipv6/conf/eth0/accept_ra \\
  ipv6/conf/wvlan0/accept_ra ipv4/conf/all/rp_filter ipv4/conf/eth0/rp_filter; do echo $f $(cat /proc/sys/net/$f); done
ss -Hlun; find /run /var/lib/weft`;

const inventory = async (host: Namespace): Promise<readonly string[]> =>
  [...new Set((await host.run(['sh', '-c', INVENTORY])).split('\n').map(line => line.trim()))]
    .filter(line => line !== '' && !/ xtables\.lock$|\/run\/xtables\.lock/.test(line))
    .sort();

let lab: Lab;
let a: Member;
let b: Member;
let clean: readonly string[];

before(async () => {
  lab = await startLab();
  const withOthers = async (host: Namespace, number: number) => {
    const address = await plug(host, number);
    await host.run(['sh', '-ec', FOREIGN]);
    // Link-local addresses and their routes come a moment after the link.
    await until(
      'eth0 to settle',
      async () => (await host.run(['ip', '-6', 'address', 'show', 'tentative'])) === '' || undefined,
    );
    clean = await inventory(host);
    return address;
  };
  [a, b] = await Promise.all([lab.join(1, { plug: withOthers, object: nodeObject }), lab.join(2)]);
  writeFileSync(join(a.confDir, '87-other.conflist'), '{"plugins":[{"type":"bridge"}]}');
  writeFileSync(join(a.binDir, 'bridge'), 'somebody else');
  await Promise.all([untilInstalled(a), untilInstalled(b)]);
  await untilMeshed([a, b]);
});

after(async () => lab?.end());

type Ran = { readonly code: number; readonly said: string };

const weft = async (...args: string[]): Promise<Ran> =>
  a.namespace.run([process.execPath, MAIN, 'uninstall', ...args], { env: { KUBECONFIG: '' } }).then(
    said => ({ code: 0, said }),
    error => ({ code: Number(error.code), said: `${error.stdout}${error.stderr}` }),
  );

const own = (): string[] => [
  '--config',
  join(lab.dir, 'node1', 'config.json'),
  '--kubeconfig',
  join(lab.dir, 'kubeconfig'),
  '--node',
  'node1',
];

test('it asks whether that is meant, and refuses while the agent runs', async () => {
  assert.equal((await weft()).code, 2);
  const { code, said } = await weft('--yes', ...own());
  assert.equal(code, 1);
  assert.match(said, /agent of this node is running/);
  assert.ok(existsSync(join(a.confDir, '10-weft.conflist')));
});

test('the node is as it was before, and what others have is untouched', async () => {
  await addPod(a, 'one');
  await addPod(a, 'two');
  await until(
    'the rules in chains of others',
    async () => (await a.namespace.run(['iptables-legacy', '-S'])).includes('weft') || undefined,
  );
  assert.notDeepEqual(await inventory(a.namespace), clean);
  await a.stop();
  const { code, said } = await weft('--yes', ...own());
  assert.equal(code, 0, said);
  assert.doesNotMatch(said, /FAILED/);
  await until(
    'wireguard-go to end',
    async () => (await a.namespace.run(['ss', '-Hlun', 'sport = :51820'])) === '' || undefined,
  );
  assert.deepEqual(await inventory(a.namespace), clean);
  assert.deepEqual(
    [a.confDir, a.binDir].map(dir =>
      ['10-weft.conflist', '87-other.conflist', 'weft-cni', 'loopback', 'bridge'].filter(file =>
        existsSync(join(dir, file)),
      ),
    ),
    [['87-other.conflist'], ['bridge']],
  );
});

test('its Node has no annotation of ours any more, those of the user stay, and peers leave it out', async () => {
  const notes = lab.api.store.get(NODES, undefined, 'node1').metadata.annotations ?? {};
  assert.deepEqual(
    Object.keys(notes).filter(name => name.startsWith('weft.network/')),
    [],
  );
  await until('node2 to forget it', async () => (await b.status())?.peers.length === 0 || undefined);
});

test('a second run finds nothing', async () => {
  const { code, said } = await weft('--yes', ...own());
  assert.deepEqual([code, said], [0, 'there is nothing of weft on this node\n']);
});

test('a loopback plugin and a configuration of others are left, and so is forwarding that others need', async () => {
  const loopback = join(b.binDir, 'loopback');
  writeFileSync(loopback, 'somebody else');
  await b.namespace.run(['ip', 'link', 'add', 'docker0', 'type', 'bridge']);
  await b.stop();
  writeFileSync(join(b.confDir, '10-weft.conflist'), '{"plugins":[{"type":"bridge"}]}');
  const config = join(lab.dir, 'node2', 'config.json');
  const said = await b.namespace.run([process.execPath, MAIN, 'uninstall', '--yes', '--config', config]);
  assert.match(said, /left +\S+10-weft\.conflist: it does not call weft-cni/);
  assert.match(said, /left +net\/ipv4\/ip_forward from 1 to 0: docker0 may need it/);
  assert.match(said, /left +annotations of the Node: .*kubectl annotate node/);
  assert.equal(readFileSync(loopback, 'utf8'), 'somebody else');
  assert.equal((await b.namespace.run(['cat', '/proc/sys/net/ipv4/ip_forward'])).trim(), '1');
});
