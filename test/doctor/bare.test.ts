/** What is said of a node whose agent does not answer, from what its files and its kernel show. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type BareOptions, gatherBare, type Machine } from '../../command/bare.ts';
import { EXIT } from '../../command/types.ts';
import { loadKey } from '../../discovery/keystore.ts';
import { bareChecks } from '../../doctor/bare.ts';
import type { BareFacts, Diagnosis } from '../../doctor/types.ts';
import type { WgDevice } from '../../platform/linux/types.ts';
import { agents, said } from '../command/sample.ts';
import { golden } from '../golden.ts';

const NOW = 1_800_000_000_000;

const wgPeer = (publicKey: string, ageMs: number | undefined) => ({
  publicKey,
  latestHandshake: ageMs === undefined ? 0 : NOW - ageMs,
});

const device = (...peers: readonly object[]): WgDevice =>
  ({ publicKey: 'own', listenPort: 51820, peers }) as unknown as WgDevice;

const WHOLE: BareFacts = {
  node: 'node1',
  now: NOW,
  agent: 'nobody listens on /run/weft/status.sock',
  settings: { path: undefined, error: undefined },
  key: { ok: true, value: 'own' as never },
  engine: { kind: 'kernel' },
  like: { engine: { kind: 'kernel' }, podCidrs: ['10.42.1.1/32'] },
  device: device(wgPeer('k2', 60_000), wgPeer('k3', 90_000)),
  names: new Map([['k2' as never, 'node2']]),
  bridge: true,
  routes: 3,
  leases: 5,
  queued: 0,
  cni: {
    binDir: '/opt/cni/bin',
    confDir: '/etc/cni/net.d',
    binary: true,
    config: true,
    earlier: [],
    ready: true,
  },
  nft: undefined,
  host: undefined,
  kernelRelease: '6.1.0',
  tables: { mesh: true, spoofing: true },
  antiSpoofing: true,
  modules: { ifb: true, sch_tbf: true },
  sysctls: { 'ipv4/ip_forward': '1' },
};

const CASES: Readonly<Record<string, Partial<BareFacts>>> = {
  'the agent is dead, the rest is well': {},
  'settings with errors': {
    settings: { path: '/etc/weft/config.json', error: 'mtu: must be 1280 to 65535' },
  },
  'wireguard-go is gone': {
    engine: { kind: 'none', reason: 'the link weft-wg is there, and no wireguard-go answers for it' },
    device: undefined,
  },
  'two of three peers are silent': {
    device: device(wgPeer('k2', 400_000), wgPeer('k3', undefined), wgPeer('k4', 5_000)),
  },
  'nothing was ever here': {
    agent: 'there is no /run/weft/status.sock: no agent has started here since the node’s boot',
    key: { ok: true, value: undefined },
    engine: undefined,
    device: undefined,
    bridge: false,
    routes: 0,
    leases: 0,
    cni: { ...WHOLE.cni, binary: false, config: false, ready: false, earlier: ['05-other.conflist'] },
    tables: { mesh: false, spoofing: false },
    sysctls: { 'ipv4/ip_forward': '0' },
  },
  'a damaged key, another one in use, DELs that wait, no nft': {
    key: { ok: false, error: 'the key file /var/lib/weft/key.json is damaged: it is empty' },
    queued: 2,
    nft: 'nft: ENOENT',
    tables: { mesh: false, spoofing: false },
  },
  'a firewall that drops': {
    host: {
      forward: [
        {
          kind: 'nft',
          chain: { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' },
          ours: false,
          blockedBy: undefined,
          error: 'they are missing, and only the agent puts them there',
        },
      ],
      input: [],
      firewalld: [],
      chains: [],
      links: ['lo', 'cni0'],
      port: { port: 51820, holder: 'the process x (pid 7)' },
      listenPort: 51820,
      clusterCidrs: [],
    },
  },
};

test('each case, worst first, with its cure', () => {
  const told = Object.entries(CASES).map(([name, change]) => {
    const lines = bareChecks({ ...WHOLE, ...change })
      .filter(c => c.grade !== 'ok')
      .map(c => `${c.grade} [${c.id}] ${c.what}${c.cure === undefined ? '' : `\n    cure: ${c.cure}`}`);
    return `== ${name}\n${lines.join('\n')}\n`;
  });
  golden(`${import.meta.dirname}/golden/bare.txt`, told.join('\n'));
});

test('an agent that answers is no trouble, and what is well is said', () => {
  const all = bareChecks({ ...WHOLE, agent: undefined });
  assert.ok(
    all.every(c => c.grade === 'ok'),
    JSON.stringify(all.filter(c => c.grade !== 'ok')),
  );
  for (const id of ['agent', 'key', 'tunnels', 'routes', 'plugin', 'forwarding'])
    assert.ok(
      all.some(c => c.id === id),
      id,
    );
});

const never = async (): Promise<never> => assert.fail('it must change nothing');

/** A machine with our tunnel and bridge, whose nft is `chains`. */
const machine = (chains: string | undefined): Machine =>
  ({
    kernel: {
      links: {
        get: async (name: string) => ({ name, kind: name === 'weft-wg' ? 'wireguard' : 'bridge' }),
        list: async () => [],
      },
      addresses: { list: async () => [{ link: 'weft0', address: 'fd42::1/128' }] },
      routes: { ours: async () => [{}, {}] },
      wg: { dump: async () => device(wgPeer('k2', 5_000)) },
      nft: { counters: async () => ({}) },
      sysctls: { read: async () => '1', write: never },
    },
    firewalls: {
      chains: async () => {
        if (chains === undefined) throw new Error('nft: ENOENT');
        return chains;
      },
      chain: async () => 'table ip filter {\n\tchain FORWARD {\n\t}\n}\n',
      apply: never,
      legacy: () => undefined,
    },
    udpHolder: () => assert.fail('our own socket holds the port'),
    agentTrouble: async () => 'gone',
  }) as unknown as Machine;

function host(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weft-bare-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const files: Readonly<Record<string, string>> = {
    'opt/cni/bin/weft-cni': '',
    'etc/cni/net.d/10-weft.conflist': '',
    'etc/cni/net.d/05-other.conflist': '',
    'run/weft/ready': '',
    'run/weft/pods/a': '',
    'run/weft/del/b': '',
    'var/lib/weft/nodes.json': '{"version":1,"items":[]}',
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}

test('the host’s files and its kernel are read, below --host, and nothing is changed', async t => {
  const dir = host(t);
  const key = loadKey({ dir: join(dir, 'var/lib/weft'), nodeName: 'node1', machineId: undefined });
  const options: BareOptions = { host: dir, config: undefined, node: 'node1' };
  const chains =
    'table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n';
  const facts = await gatherBare(machine(chains), options);
  assert.deepEqual(facts.key, { ok: true, value: key.publicKey });
  assert.deepEqual([facts.leases, facts.queued, facts.routes, facts.bridge], [1, 1, 2, true]);
  assert.deepEqual(facts.cni.earlier, ['05-other.conflist']);
  assert.deepEqual([facts.cni.binary, facts.cni.config, facts.cni.ready], [true, true, true]);
  assert.match(facts.host?.forward[0]?.error ?? '', /only the agent puts them there/);
  assert.equal((await gatherBare(machine(undefined), options)).nft, 'nft: ENOENT');
});

test('settings that are wrong are said, whole', async t => {
  const dir = host(t);
  const path = join(dir, 'config.json');
  writeFileSync(path, '{ "mtu": 1, "nonsense": true }');
  const { settings } = await gatherBare(machine(''), { host: dir, config: path, node: undefined });
  assert.match(settings.error ?? '', /nonsense: there is no such setting[\s\S]*mtu: /);
  writeFileSync(path, '{');
  assert.match(
    (await gatherBare(machine(''), { host: dir, config: path, node: undefined })).settings.error ?? '',
    /JSON/,
  );
});

const DIAGNOSIS: Diagnosis = {
  node: 'node1',
  now: NOW,
  checks: [{ id: 'agent', grade: 'error', what: 'it is dead', cure: 'look why' }],
};

test('the doctor looks at the machine where it is told to, or where the agent of this node does not answer', async () => {
  const asked: BareOptions[] = [];
  const bare = async (options: BareOptions) => {
    asked.push(options);
    return DIAGNOSIS;
  };
  const dead = (kind: 'local' | 'remote') => ({
    ...agents(kind),
    list: async () => {
      throw new Error('nobody listens');
    },
  });
  const local = await said(['doctor', '--local', '--host', '/host', '-n', 'node1'], { bare });
  assert.equal(local.out, 'ERROR  it is dead\n       cure: look why\n');
  assert.equal(local.code, EXIT.trouble);
  assert.deepEqual(asked, [{ host: '/host', config: undefined, node: 'node1' }]);
  assert.equal((await said(['doctor'], { bare, agents: async () => dead('local') })).out, local.out);
  const far = await said(['doctor'], { bare, agents: async () => dead('remote') });
  assert.deepEqual([far.code, far.err], [EXIT.unreachable, 'weft doctor: nobody listens\n']);
});

test('on a node whose agent answers, another node is not taken for this machine', async () => {
  const bare = async () => DIAGNOSIS;
  const other = await said(['doctor', '-n', 'node2'], { bare, agents: async () => agents('local') });
  assert.deepEqual([other.code, other.out], [EXIT.unreachable, '']);
  assert.match(other.err, /there is no weft agent on a node node2/);
  const mute = { ...agents('local'), get: () => Promise.reject(new Error('no answer within 30 s')) };
  const own = await said(['doctor', '-n', 'node1'], { bare, agents: async () => mute });
  assert.match(own.out, /it is dead/);
});
