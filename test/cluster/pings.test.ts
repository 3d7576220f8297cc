import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lossOf } from './pings.ts';

const output = (sent: number, answered: readonly number[]): string =>
  [
    'PING 10.42.0.2 (10.42.0.2) 56(84) bytes of data.',
    ...answered.map(n => `64 bytes from 10.42.0.2: icmp_seq=${n} ttl=62 time=0.9 ms`),
    `${sent} packets transmitted, ${answered.length} received, 0% packet loss, time 9ms`,
  ].join('\n');

const upTo = (n: number): readonly number[] => Array.from({ length: n }, (_, index) => index + 1);

test('an answer that is missing counts, whatever came after it', () => {
  const answered = upTo(100).filter(n => n !== 1 && n !== 50);
  assert.deepEqual(lossOf('a', output(100, answered)), { path: 'a', sent: 100, lost: 2 });
});

test('what is on its way at the end does not count, a silence does', () => {
  assert.equal(lossOf('a', output(100, upTo(97))).lost, 0);
  assert.equal(lossOf('a', output(100, upTo(90))).lost, 7);
  assert.equal(lossOf('a', output(100, [])).lost, 97);
});

test('an answer that says it cannot be reached is none', () => {
  const text = output(100, upTo(99)).replace(
    'icmp_seq=7 ttl=62 time=0.9 ms',
    'icmp_seq=7 Destination Net Unreachable',
  );
  assert.equal(lossOf('a', text).lost, 1);
});

test('no summary is an error that shows what ping said', () => {
  assert.throws(
    () => lossOf('a > b', 'ping: connect: Network is unreachable'),
    /a > b: ping said ping: connect/,
  );
});
