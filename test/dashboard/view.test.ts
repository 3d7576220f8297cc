import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { content, page } from '../../dashboard/html.ts';
import { layout } from '../../dashboard/layout.ts';
import { age, bytes, millis } from '../../dashboard/text.ts';
import type { Report } from '../../dashboard/types.ts';
import { viewOf } from '../../dashboard/view.ts';
import { sample } from './sample.ts';

const silent = (reports: readonly Report[], node: string): readonly Report[] =>
  reports.map(r => (r.node === node ? { ...r, status: undefined, error: 'connection refused' } : r));

describe('the view', () => {
  test('a mesh of three: each pair once, all established', () => {
    const view = viewOf(sample(3, ['a', 'b']));
    assert.deepEqual(
      view.links.map(l => `${l.a} ${l.b} ${l.state}`),
      ['node01 node02 established', 'node01 node03 established', 'node02 node03 established'],
    );
    assert.deepEqual(view.problems, []);
    assert.deepEqual(
      view.locations.map(l => l.name),
      ['a', 'b'],
    );
    assert.ok(view.nodes.every(n => n.state === 'ready'));
  });

  test('of two directions the worse one is the link’s, and the reason names the side that sees it', () => {
    const view = viewOf(
      sample(3, ['a'], {
        '1→2': { state: 'connecting', reason: 'no handshake yet' },
        '2→1': { state: 'failed', reason: 'no endpoint' },
      }),
    );
    assert.equal(view.links.find(l => l.a === 'node01' && l.b === 'node02')?.state, 'failed');
    assert.deepEqual(
      view.problems.map(p => `${p.from}→${p.to} ${p.reason}`),
      [
        'node02→node01 no endpoint; node01 has received nothing from node02 either: both ways are cut',
        'node01→node02 no handshake yet; node02 has received nothing from node01 either: both ways are cut',
      ],
    );
    assert.deepEqual(view.states, { established: 2, connecting: 0, pending: 0, retrying: 0, failed: 1 });
  });

  test('an agent that is silent is unknown, and what others say of its links stays', () => {
    const view = viewOf(silent(sample(3, ['a']), 'node02'));
    const node = view.nodes.find(n => n.name === 'node02');
    assert.deepEqual([node?.state, node?.reasons], ['unknown', ['connection refused']]);
    assert.equal(view.links.length, 3);
  });

  test('a node that only its peers name is shown', () => {
    const view = viewOf(sample(3, [undefined]).slice(0, 2));
    assert.deepEqual(
      view.nodes.map(n => `${n.name} ${n.state}`),
      ['node01 ready', 'node02 ready', 'node03 unknown'],
    );
  });

  test('what weft status calls wrong with a node is trouble here too: its host, its API server, its policies', () => {
    const told = {
      host: { findings: [{ severity: 'error', what: 'port 51820 is taken', cure: 'free it' }] },
      api: { connected: false, error: 'connection refused' },
      policy: { enabled: true, error: 'nft: No such file' },
    };
    const [first, ...rest] = sample(3, ['a']) as [Report, ...Report[]];
    const view = viewOf([{ ...first, status: first.status && { ...first.status, ...told } }, ...rest]);
    assert.equal(view.nodes[0]?.state, 'trouble');
    assert.deepEqual(view.nodes[0]?.reasons, [
      'host: port 51820 is taken. Cure: free it',
      'policy: rules are not in the kernel: nft: No such file',
      'API server: not connected: connection refused',
    ]);
    assert.doesNotMatch(content(view, undefined), /All well/);
  });

  test('the order of the answers does not matter', () => {
    const reports = sample(6, ['a', 'b', undefined]);
    fc.assert(
      fc.property(fc.shuffledSubarray([...reports], { minLength: reports.length }), shuffled => {
        assert.deepEqual(viewOf(shuffled), viewOf(reports));
      }),
    );
  });
});

describe('the layout', () => {
  test('every node is inside the picture, and none lies on another', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(sizes, counts => {
        const groups = counts.map((size, g) => Array.from({ length: size }, (_, n) => `${g}-${n}`));
        const points = [...layout(groups).points.values()];
        assert.equal(
          points.length,
          counts.reduce((a, b) => a + b),
        );
        for (const [n, p] of points.entries()) {
          assert.ok(p.x >= 0 && p.x <= 1000 && p.y >= 0 && p.y <= 1000);
          for (const q of points.slice(n + 1)) assert.ok(Math.hypot(p.x - q.x, p.y - q.y) > 1);
        }
      }),
    );
  });
});

describe('the page', () => {
  test('of a chosen node each peer has the MTU of its path and the age of its last answer', () => {
    const html = content(viewOf(sample(2, ['a'])), 'node01');
    assert.match(html, /<td>1312<\/td>/);
    assert.match(html, /<td>4 s ago<\/td>/);
  });

  test('what nodes say is text, never markup', () => {
    const evil = '<script>alert(1)</script>"\'';
    const reports = sample(2, [evil], { '1→2': { state: 'failed', reason: evil } });
    const html = page(viewOf(reports), 'node01');
    assert.ok(!html.includes('<script>alert'));
    assert.ok(html.includes('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;'));
  });

  test('says that all is well only when it is', () => {
    const well = /All well/;
    assert.match(content(viewOf(sample(3, ['a'])), undefined), well);
    const broken = sample(3, ['a'], { '1→2': { state: 'retrying', reason: 'no answer from 203.0.113.2' } });
    assert.doesNotMatch(content(viewOf(broken), undefined), well);
    assert.match(
      content(viewOf(broken), undefined),
      /1 tunnel not established[\s\S]*no answer from 203\.0\.113\.2/,
    );
    const one = content(viewOf(silent(sample(3, ['a']), 'node02')), undefined);
    assert.match(one, /1 agent gave no answer/);
    const local = content(viewOf(sample(3, ['a']).slice(0, 1)), undefined);
    assert.match(local, /All well: every known tunnel .* 2 other agents cannot be asked from here/);
    assert.match(content(viewOf([]), undefined), /No agent was found/);
  });

  test('many problems are counted, not all listed', () => {
    const troubles = Object.fromEntries(
      Array.from({ length: 30 }, (_, n) => [`1→${n + 2}`, { state: 'failed', reason: 'x' }] as const),
    );
    const many = sample(31, ['a'], troubles);
    assert.doesNotMatch(content(viewOf(many), undefined), /more<\/li>/);
    const more = {
      ...troubles,
      ...Object.fromEntries(
        Array.from({ length: 30 }, (_, n) => [`${n + 2}→1`, { state: 'failed', reason: 'x' }] as const),
      ),
    };
    assert.match(content(viewOf(sample(31, ['a'], more as typeof troubles)), undefined), /and 10 more<\/li>/);
  });

  test('figures as people read them', () => {
    assert.deepEqual(
      [bytes(0), bytes(1023), bytes(1536), bytes(5 * 2 ** 20)],
      ['0 B', '1023 B', '1.5 KiB', '5.0 MiB'],
    );
    assert.deepEqual(
      [age(undefined), age(40_000), age(600_000), age(3 * 3_600_000)],
      ['never', '40 s ago', '10 min ago', '3 h ago'],
    );
    assert.deepEqual([millis(undefined), millis(0.123), millis(45.6)], ['–', '0.12 ms', '46 ms']);
  });
});
