import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { POLICY_TABLE } from '../../constants.ts';
import type { KernelEvent } from '../../platform/linux/types.ts';
import { cidr, ip, type Subject, TABLE, until, upLink } from './kernel.helpers.ts';

export function watchCases(subject: Subject): void {
  const { kernel } = subject;
  const actions: Readonly<Record<KernelEvent, () => Promise<void>>> = {
    link: () => kernel.links.change('d0', { mtu: 1300 }),
    address: () => kernel.addresses.add({ link: 'd0', address: '10.9.0.1/32' }),
    route: () => kernel.routes.replace({ dst: cidr('fd09:1::/64'), kind: 'unicast', link: 'd0' }),
    neighbour: () => kernel.neighbours.replace({ link: 'd0', ip: ip('10.9.0.7'), mac: '02:00:00:00:00:07' }),
    nft: () => kernel.nft.apply(`table inet ${TABLE} {\n}\n`),
    policy: () => kernel.nft.apply(`table inet ${POLICY_TABLE} {\n}\ndelete table inet ${POLICY_TABLE}\n`),
  };
  const kinds = Object.keys(actions) as KernelEvent[];

  describe('watch', () => {
    for (const kind of kinds)
      test(`tells of a change: ${kind}`, async () => {
        await upLink(subject, 'd0');
        const seen: KernelEvent[] = [];
        const stop = kernel.watch([kind], event => seen.push(event));
        await until('listening', () => seen.length > 0);
        seen.length = 0;
        await actions[kind]();
        await until(`news of ${kind}`, () => seen.length > 0);
        stop();
        assert.deepEqual([...new Set(seen)], [kind]);
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
