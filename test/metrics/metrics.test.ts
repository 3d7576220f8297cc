/** What a scrape answers: every metric of the table, no peer that is gone, and never too many series. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openMetrics } from '../../metrics/registry.ts';
import { PEER_LIMIT, samplesOf } from '../../metrics/samples.ts';
import { type Metric, metrics } from '../../metrics/table.ts';
import { golden } from '../golden.ts';
import { peer, scrape } from './sample.ts';

const series = (text: string): readonly string[] =>
  text.split('\n').filter(l => l !== '' && !l.startsWith('#'));

const recorded = () => {
  const all = openMetrics();
  all.record('weft_cni_duration_seconds', 0.02, { verb: 'ADD', result: 'ok' });
  all.record('weft_reconcile_duration_seconds', 0.3);
  all.record('weft_reconcile_errors_total', 1, { step: 'peers' });
  all.record('weft_policy_program_seconds', 0.04);
  return all;
};

test('the whole text, in the format of Prometheus', async () => {
  const text = await recorded().text(samplesOf(scrape([peer('node2'), peer('node3', { state: 'failed' })])));
  golden(`${import.meta.dirname}/golden/metrics.txt`, text);
});

test('every metric of the table has a value, and its name and labels are well formed', async () => {
  const text = await recorded().text(samplesOf(scrape([peer('node2')])));
  for (const [name, { kind, labels, help }] of Object.entries<Metric>(metrics)) {
    const suffix = kind === 'histogram' ? '_bucket' : '';
    const line = series(text).find(l => l.startsWith(`${name}${suffix}{`) || l.startsWith(`${name} `));
    assert.ok(line, `${name} has no value`);
    for (const label of labels) assert.match(line, new RegExp(`[{,]${label}="`), `${name} without ${label}`);
    assert.match(name, /^(weft|process)_[a-z_]+$/);
    assert.equal(kind === 'counter', name.endsWith('_total'), name);
    assert.match(help, /\.$/);
  }
});

test('a second scrape says the same, and peers that are gone are gone', async () => {
  const all = recorded();
  const first = await all.text(samplesOf(scrape([peer('node2'), peer('node3')])));
  assert.equal(await all.text(samplesOf(scrape([peer('node2'), peer('node3')]))), first);
  const after = await all.text(samplesOf(scrape([peer('node2')])));
  assert.doesNotMatch(after, /node3/);
  assert.match(after, /weft_cni_duration_seconds_count\{verb="ADD",result="ok"\} 1/);
});

test('at 1,000 nodes the series of one agent stay few, and trouble is among them', async () => {
  const many = Array.from({ length: 999 }, (_, n) =>
    peer(`n${n}`, { state: n < 300 ? 'failed' : 'established' }),
  );
  for (const [peers, most] of [
    [many, PEER_LIMIT * 10 + 150],
    [many.slice(300), 150],
    [many.slice(300, 300 + PEER_LIMIT), PEER_LIMIT * 10 + 150],
  ] as const) {
    const count = series(await recorded().text(samplesOf(scrape(peers)))).length;
    assert.ok(count <= most, `${count} series for ${peers.length} peers`);
  }
  const text = await recorded().text(samplesOf(scrape(many)));
  assert.match(text, /weft_peer_established\{peer="n0"\} 0/);
  assert.match(text, /weft_peers_without_series 799/);
  assert.match(text, /weft_peers\{state="established"\} 699/);
});

test('peerMetrics: problem shows only those in trouble, none nobody', () => {
  const peers = [peer('a'), peer('b', { state: 'retrying' })];
  const named = (mode: 'problem' | 'none') =>
    new Set(samplesOf(scrape(peers, { peerMetrics: mode })).flatMap(s => s.labels.peer ?? []));
  assert.deepEqual([...named('problem')], ['b']);
  assert.deepEqual([...named('none')], []);
});

test('what is not known is absent from the text, also after it was known: a 0 would look like a new start', async () => {
  const all = recorded();
  const absent =
    /^weft_(plaintext_dropped|strayed_dropped|policies|policy_failing|policy_connections|mtu_bytes)/m;
  const { status } = scrape([]);
  const less = { ...status, mtu: undefined, policy: { enabled: false } } as unknown as typeof status;
  const unknown = samplesOf(scrape([], { dropped: undefined, denied: undefined, status: less }));
  assert.doesNotMatch(await all.text(unknown), absent);
  assert.match(await all.text(samplesOf(scrape([]))), /^weft_plaintext_dropped_packets_total 5$/m);
  assert.doesNotMatch(await all.text(unknown), absent);
});
