import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { antiSpoofTable, podElements, podElementsText } from '../../cni/antispoof.ts';
import { listedElements, missingElements, strayElements, withoutElements } from '../../cni/elements.ts';
import { linkName, randomMac } from '../../cni/plumb.ts';
import { golden } from '../golden.ts';
import { lease } from './leases.ts';

const file = (name: string): string => `${import.meta.dirname}/golden/${name}`;

test('the table, on and off, with a pod in it', () => {
  golden(file('antispoof.nft'), antiSpoofTable(true) + podElementsText(lease(2)));
  golden(file('antispoof.off.nft'), antiSpoofTable(false));
});

/** As nft 1.0 prints it. */
const LISTING = `table bridge weft {
\tcounter spoofed_dropped {
\t}

\tset pod4 {
\t\ttype ifname . ether_addr . ipv4_addr
\t\telements = { "wv00000000001" . 02:00:00:00:00:01 . 10.42.1.1,
\t\t\t     "wv00000000002" . 02:00:00:00:00:02 . 10.42.1.2 }
\t}

\tset pod6 {
\t\ttype ifname . ether_addr . ipv6_addr
\t\telements = { "wv00000000001" . 02:00:00:00:00:01 . fd42::1,
\t\t\t     "wv00000000002" . 02:00:00:00:00:02 . fd42::2 }
\t}

\tset port {
\t\ttype ifname . ether_addr
\t\telements = { "wv00000000001" . 02:00:00:00:00:01,
\t\t\t     "wv00000000002" . 02:00:00:00:00:02 }
\t}

\tchain ingress {
\t\ttype filter hook prerouting priority -300; policy accept;
\t\tiifname "wv*" ether type arp iifname . arp saddr ether . arp saddr ip != @pod4 counter name "spoofed_dropped" drop
\t}
}
`;

const names = (changes: readonly { set: string; key: Buffer }[]): readonly string[] =>
  changes.map(({ set, key }) => `${set} ${key.toString('hex')}`).sort();

const pods = (...numbers: readonly number[]) => numbers.map(lease);

test('what nft lists is what the pods need: nothing missing, nothing stray', () => {
  assert.deepEqual(
    names(listedElements(LISTING)),
    names(pods(1, 2).flatMap(one => podElements(one, 'delete'))),
  );
  assert.deepEqual(missingElements(LISTING, pods(1, 2)), []);
  assert.deepEqual(strayElements(LISTING, pods(1, 2)), []);
});

test('elements of a pod that is gone are stray, those of one that was forgotten are missing', () => {
  const stray = strayElements(LISTING, pods(1));
  assert.deepEqual(names(stray), names(podElements(lease(2), 'delete')));
  assert.deepEqual(new Set(stray.map(element => element.link)), new Set([lease(2).link]));
  assert.deepEqual(missingElements(LISTING, pods(1, 2, 3)), podElements(lease(3), 'add'));
  assert.deepEqual(missingElements('', pods(1)), podElements(lease(1), 'add'));
  const moved = { ...lease(1), podMac: '02:00:00:00:00:99' };
  assert.equal(missingElements(LISTING, [moved]).length, 3);
  assert.equal(strayElements(LISTING, [moved]).length, 6);
});

test('the listing without elements keeps all else', () => {
  const terse = withoutElements(LISTING);
  assert.doesNotMatch(terse, /elements|02:00/);
  assert.equal(terse.split('\n').length, LISTING.split('\n').length - 6);
  assert.equal(withoutElements(terse), terse);
});

test('no text makes the reader throw', () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), text => Array.isArray(listedElements(text))));
});

test('link names fit the kernel, are the same each time, and differ by container and interface', () => {
  assert.match(linkName('c1', 'eth0'), /^wv[0-9a-f]{11}$/);
  assert.equal(linkName('c1', 'eth0'), linkName('c1', 'eth0'));
  assert.equal(new Set(['c1', 'c2'].flatMap(id => [linkName(id, 'eth0'), linkName(id, 'eth1')])).size, 4);
});

test('MACs are local and for one station', () => {
  for (let n = 0; n < 50; n += 1) assert.match(randomMac(), /^02(:[0-9a-f]{2}){5}$/);
});
