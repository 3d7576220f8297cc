/** What an agent of the first builds has left on a node, as it wrote it: a new one goes on with it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openDelQueue } from '../../cni/delqueue.ts';
import { openLeases } from '../../cni/lease.ts';
import { loadKey } from '../../discovery/keystore.ts';
import { parseState } from '../../discovery/state.ts';
import { decodeProbe, encodeProbe } from '../../mesh/probewire.ts';

const KEY = `{
  "privateKey": "6JumX7gLRmDcvFeOUSaJLEw7Gt1bs6dIy/lle03D3U4=",
  "publicKey": "2c9kimCMAlFWmfAv1inSdxDTAfqnnK8+/ab4/SM54Ss=",
  "nodeName": "node1",
  "machineId": "0123"
}
`;

const NODES = `{"version":1,"items":[
{"metadata":{"name":"node2","uid":"u2","creationTimestamp":"2026-01-01T00:00:00Z","annotations":{"weft.network/public-key":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","weft.network/endpoints":"[{\\"t\\":\\"host\\",\\"a\\":\\"192.0.2.2:51820\\"}]","weft.network/persistent-keepalive":"15","weft.network/relay":"false"}},"spec":{"podCIDRs":["10.42.2.0/24","fd42:0:0:2::/64"]}}
]}
`;

const LEASE =
  '{"network":"weft","containerId":"c1","ifname":"eth0","link":"wv0123456789a","hostMac":"02:00:00:00:00:01","podMac":"02:00:00:00:00:02","ips":["10.42.1.2","fd42:0:0:1::2"],"mtu":1420,"pod":{"namespace":"default","name":"web"},"ports":[]}';

const DEL = 'AAAAADNDTklfQ09NTUFORD1ERUwAQ05JX0NPTlRBSU5FUklEPWMxAENOSV9JRk5BTUU9ZXRoMAA=';

const QUESTION = Buffer.from('7765667400000000000000002a', 'hex');

function folder(t: TestContext, files: Readonly<Record<string, string | Buffer>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'weft-earlier-'));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

test('its key stays the key of the node', t => {
  const dir = folder(t, { 'key.json': KEY });
  const { publicKey, made, next, rotated } = loadKey({ dir, nodeName: 'node1', machineId: '0123' });
  assert.deepEqual(
    [publicKey, made, next, rotated],
    ['2c9kimCMAlFWmfAv1inSdxDTAfqnnK8+/ab4/SM54Ss=', undefined, undefined, undefined],
  );
  assert.deepEqual(readdirSync(dir), ['key.json']);
});

test('its peers come up from disk', () => {
  const state = parseState(NODES);
  assert.ok(state.ok);
  assert.deepEqual(
    state.value.map(node => [
      node.name,
      node.keepalive,
      node.relay,
      node.podCidrs.length,
      node.errors.length,
    ]),
    [['node2', 15, false, 2, 0]],
  );
  assert.equal(state.value[0]?.endpoints[0]?.a, '192.0.2.2:51820');
  assert.ok(state.value[0]?.publicKey);
});

test('its leases hold their addresses, and its promised DELs are kept', t => {
  const { leases, damaged } = openLeases(folder(t, { 'c1:eth0': LEASE })).load();
  assert.deepEqual([leases.map(lease => lease.ips.length), damaged], [[2], []]);
  const queue = openDelQueue(folder(t, { 'c1:eth0': Buffer.from(DEL, 'base64') }));
  const waiting = queue.all(file => assert.fail(file));
  assert.deepEqual(
    waiting.map(({ containerId, ifname }) => [containerId, ifname]),
    [['c1', 'eth0']],
  );
});

test('its probes are understood, and answered in its length, which is the only one that it takes', () => {
  assert.deepEqual(decodeProbe(QUESTION), {
    kind: 'question',
    nonce: 42n,
    unansweredMs: undefined,
    size: 13,
  });
  const asked = { kind: 'question', nonce: 42n, unansweredMs: undefined, size: 0 } as const;
  assert.deepEqual(encodeProbe(asked), QUESTION);
  assert.equal(encodeProbe({ ...asked, kind: 'answer', size: QUESTION.length }).length, 13);
});
