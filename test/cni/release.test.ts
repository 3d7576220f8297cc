import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openReleases } from '../../cni/release.ts';
import type { Ip } from '../../types.ts';

const ips = (...texts: readonly string[]): readonly Ip[] => texts as readonly Ip[];

test('what is released soon after one another is passed on together, once', t => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const passed: (readonly Ip[])[] = [];
  const releases = openReleases(some => passed.push(some), 500);
  releases.add(ips('10.42.1.2', 'fd42::2'));
  t.mock.timers.tick(400);
  releases.add(ips('10.42.1.3'));
  assert.deepEqual(passed, []);
  t.mock.timers.tick(100);
  assert.deepEqual(passed, [['10.42.1.2', 'fd42::2', '10.42.1.3']]);
  releases.add(ips('10.42.1.4'));
  releases.flush();
  releases.flush();
  t.mock.timers.tick(1_000);
  assert.deepEqual(passed.slice(1), [['10.42.1.4']]);
});

test('nothing released is nothing passed on', () => {
  openReleases(() => assert.fail('something was passed on'), 500).flush();
});
