import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Neighbour } from '../../platform/linux/types.ts';
import { fails, ip, type Subject, upLink } from './kernel.helpers.ts';

export function neighbourCases(subject: Subject): void {
  const { kernel } = subject;
  const { neighbours, links } = kernel;
  const entry = (link: string, address: string, last = 7): Neighbour => ({
    link,
    ip: ip(address),
    mac: `02:00:00:00:00:0${last}`,
  });
  const all = async (link?: string): Promise<string[]> =>
    (await neighbours.permanent(link)).map(n => `${n.link} ${n.ip} ${n.mac}`).sort();

  describe('neighbours', () => {
    test('both families, of one link or of all', async () => {
      await upLink(subject, 'd0');
      await upLink(subject, 'd1');
      await neighbours.replace(entry('d0', '10.9.0.7'));
      await neighbours.replace(entry('d0', 'fd09::7'));
      await neighbours.replace(entry('d1', '10.9.0.8', 8));
      assert.deepEqual(await all('d0'), ['d0 10.9.0.7 02:00:00:00:00:07', 'd0 fd09::7 02:00:00:00:00:07']);
      assert.deepEqual(await all(), [...(await all('d0')), 'd1 10.9.0.8 02:00:00:00:00:08']);
    });

    test('a second one for the address replaces the first', async () => {
      await upLink(subject, 'd0');
      await neighbours.replace(entry('d0', 'fd09::7'));
      await neighbours.replace(entry('d0', 'fd09::7', 9));
      assert.deepEqual(await all(), ['d0 fd09::7 02:00:00:00:00:09']);
    });

    test('removed, and then not there', async () => {
      await upLink(subject, 'd0');
      await neighbours.replace(entry('d0', '10.9.0.7'));
      await neighbours.remove(entry('d0', '10.9.0.7'));
      assert.deepEqual(await all(), []);
      await fails(neighbours.remove(entry('d0', '10.9.0.7')), 'ENOENT');
      await fails(neighbours.remove(entry('d0', 'fd09::7')), 'ENOENT');
    });

    test('they need a link, and go while it is down', async () => {
      await fails(neighbours.replace(entry('none0', '10.9.0.7')), 'ENODEV');
      await upLink(subject, 'd0');
      await neighbours.replace(entry('d0', '10.9.0.7'));
      await neighbours.replace(entry('d0', 'fd09::7'));
      await links.change('d0', { up: false });
      assert.deepEqual(await all(), []);
    });
  });
}
