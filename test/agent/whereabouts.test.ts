/** A node that is elsewhere than before, told by its addresses and default routes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newWhereabouts } from '../../agent/whereabouts.ts';
import type { Address, Route } from '../../platform/linux/types.ts';

const at = (...addresses: readonly string[]): readonly Address[] =>
  addresses.map(text => {
    const [link, address] = text.split(' ');
    return { link, address } as Address;
  });

const by = (link: string, via: string): Route =>
  ({ dst: '0.0.0.0/0', kind: 'unicast', link, via }) as unknown as Route;

const HOME = at('eth0 192.0.2.2/24', 'eth0 fe80::2/64', 'weft0 10.42.2.1/24');
const WAY = [by('eth0', '192.0.2.254')];
const STILL = { moved: false, elsewhere: false };
const ELSEWHERE = { moved: false, elsewhere: true };
const MOVED = { moved: true, elsewhere: true };

test('the first look finds nothing, and so does one at the same place, whatever pods and link-local addresses do', () => {
  const whereabouts = newWhereabouts();
  assert.deepEqual(whereabouts.look(HOME, WAY), STILL);
  assert.deepEqual(whereabouts.look(HOME.slice(0, 1), WAY), STILL);
  assert.deepEqual(whereabouts.look([...HOME, ...at('wv0123456789a 10.42.2.7/32')], WAY), STILL);
});

test('an address that goes is a move; one that comes and another way out may be, and each is told once', () => {
  const whereabouts = newWhereabouts();
  whereabouts.look(HOME, WAY);
  const both = [...HOME, ...at('wwan0 198.51.100.7/30')];
  assert.deepEqual(whereabouts.look(both, WAY), ELSEWHERE);
  assert.deepEqual(whereabouts.look(both, [by('wwan0', '198.51.100.8')]), ELSEWHERE);
  assert.deepEqual(whereabouts.look(both, [by('wwan0', '198.51.100.9')]), ELSEWHERE, 'another router');
  assert.deepEqual(whereabouts.look(both, []), ELSEWHERE);
  assert.deepEqual(whereabouts.look(both, []), STILL);
  assert.deepEqual(whereabouts.look(at('wwan0 198.51.100.7/30'), []), MOVED);
});

test('addresses of this host only come and go unheeded, as those of Services do', () => {
  const whereabouts = newWhereabouts();
  const services = at('kube-ipvs0 10.96.0.1/32', 'docker0 172.17.0.1/16', 'lo 127.0.0.1/8');
  whereabouts.look([...HOME, ...services], WAY);
  assert.deepEqual(whereabouts.look(HOME, WAY), STILL);
  assert.deepEqual(whereabouts.look([...HOME, ...services], WAY), STILL);
});
