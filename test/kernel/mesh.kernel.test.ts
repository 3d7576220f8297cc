/** The demo's course on the kernel's own WireGuard: three nodes, one of them late, every pod to every pod, v4 and v6. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runDemo } from '../../examples/demo/story.ts';
import { enterLab } from '../lab/reenter.ts';

await enterLab(import.meta.filename);

test('three nodes mesh over in-kernel WireGuard, and nothing is in clear', async () => {
  const report = await runDemo({ nodes: 3, keep: false, say: () => {}, show: () => {} });
  assert.deepEqual(report.failures, []);
  assert.equal(report.engine, 'kernel');
  assert.equal(report.pings.length, 72);
  assert.equal(report.wire.podAddressPackets, 0);
  assert.ok(report.wire.wireguardPackets > 0 && report.wire.payloadInTunnel);
  process.stdout.write(`${report.pings.length} of 72 pings answered; join ${report.join.allMs} ms\n`);
});
