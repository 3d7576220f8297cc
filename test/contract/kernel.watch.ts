import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NFT_TABLE, POLICY_TABLE, PORTS_TABLE, VETH_PREFIX } from '../../constants.ts';
import type { KernelEvent } from '../../platform/linux/types.ts';
import { cidr, ip, type Subject, TABLE, until, upLink } from './kernel.helpers.ts';

export function watchCases(subject: Subject): void {
  const { kernel } = subject;
  const actions: Readonly<Record<KernelEvent, () => Promise<void>>> = {
    link: () => kernel.links.change('d0', { mtu: 1300 }),
    address: () => kernel.addresses.add({ link: 'd0', address: '10.9.0.1/32' }),
    route: () => kernel.routes.replace({ dst: cidr('fd09:1::/64'), kind: 'unicast', link: 'd0' }),
    neighbour: () => kernel.neighbours.replace({ link: 'd0', ip: ip('10.9.0.7'), mac: '02:00:00:00:00:07' }),
    wire: () => kernel.links.change(`${VETH_PREFIX}0`, { mtu: 1300 }),
    nft: () => kernel.nft.apply(`table inet ${NFT_TABLE} {\n}\ndelete table inet ${NFT_TABLE}\n`),
    policy: () => kernel.nft.apply(`table inet ${POLICY_TABLE} {\n}\ndelete table inet ${POLICY_TABLE}\n`),
    fence: () => kernel.nft.apply(`table bridge ${NFT_TABLE} {\n}\ndelete table bridge ${NFT_TABLE}\n`),
    filter: () => kernel.nft.apply(`table inet ${TABLE} {\n}\n`),
  };
  const kinds = Object.keys(actions) as KernelEvent[];

  describe('watch', () => {
    for (const kind of kinds)
      test(`tells of a change: ${kind}`, async () => {
        await upLink(subject, 'd0');
        await upLink(subject, `${VETH_PREFIX}0`);
        const seen: KernelEvent[] = [];
        const stop = kernel.watch([kind], event => seen.push(event));
        await until('listening', () => seen.length > 0);
        seen.length = 0;
        await actions[kind]();
        await until(`news of ${kind}`, () => seen.length > 0);
        stop();
        assert.deepEqual([...new Set(seen)], [kind]);
      });

    test('what is of pods is not news of anything else', async () => {
      await upLink(subject, `${VETH_PREFIX}0`);
      const link = `${VETH_PREFIX}0`;
      const ofPods: readonly (() => Promise<void>)[] = [
        () => kernel.links.change(link, { up: false }),
        () => kernel.links.change(link, { up: true }),
        () => kernel.routes.replace({ dst: cidr('10.9.0.7/32'), kind: 'unicast', link }),
        () => kernel.routes.replace({ dst: cidr('fd09::7/128'), kind: 'unicast', link }),
        () => kernel.routes.remove({ dst: cidr('10.9.0.7/32'), kind: 'unicast', link }),
        () => kernel.links.remove(link),
      ];
      const seen: KernelEvent[] = [];
      const stop = kernel.watch(
        kinds.filter(kind => kind !== 'neighbour'),
        event => seen.push(event),
      );
      await until('listening', () => seen.length >= kinds.length - 1);
      for (const act of ofPods) {
        seen.length = 0;
        await act();
        await until('news', () => seen.length > 0);
        assert.deepEqual([...new Set(seen)], ['wire'], String(act));
      }
      stop();
    });

    test('tables about pods are news of their own', async () => {
      const seen: KernelEvent[] = [];
      const stop = kernel.watch(kinds, event => seen.push(event));
      await until('listening', () => seen.length >= kinds.length);
      for (const table of [`bridge ${NFT_TABLE}`, `inet ${PORTS_TABLE}`]) {
        seen.length = 0;
        await kernel.nft.apply(`table ${table} {\n}\ndelete table ${table}\n`);
        await until('news', () => seen.length > 0);
        assert.deepEqual([...new Set(seen)], ['fence']);
      }
      stop();
    });

    test('its own set elements are no news, and what a program changes is', async () => {
      await kernel.nft.apply(`table bridge ${NFT_TABLE} {\n  set s {\n    type mark\n  }\n}\n`);
      const seen: KernelEvent[] = [];
      const stop = kernel.watch(['fence', 'filter'], event => seen.push(event));
      await until('listening', () => seen.length >= 2);
      seen.length = 0;
      await kernel.nft.elements('bridge', NFT_TABLE, [
        { op: 'add', set: 's', key: Buffer.from([1, 0, 0, 0]) },
      ]);
      // What another table tells comes after it.
      await kernel.nft.apply(`table inet ${TABLE} {\n}\n`);
      await until('news', () => seen.includes('filter'));
      assert.deepEqual([...new Set(seen)], ['filter']);
      await kernel.nft.apply(`delete table bridge ${NFT_TABLE}\n`);
      await until('news', () => seen.includes('fence'));
      stop();
    });

    test('is silent once stopped', async () => {
      await upLink(subject, 'd0');
      const seen: KernelEvent[] = [];
      const stop = kernel.watch(kinds, event => seen.push(event));
      stop();
      stop();
      const heard: KernelEvent[] = [];
      const other = kernel.watch(['link'], event => heard.push(event));
      await until('the other listens', () => heard.length > 0);
      heard.length = 0;
      await actions.link();
      await until('the other hears it', () => heard.length > 0);
      other();
      assert.deepEqual(seen, []);
    });
  });
}
