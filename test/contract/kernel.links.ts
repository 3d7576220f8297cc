import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fails, linkOf, type Subject } from './kernel.helpers.ts';

export function linkCases(subject: Subject): void {
  const { kernel } = subject;
  const { links } = kernel;
  describe('links', () => {
    test('a bridge is born with its MAC and MTU, down', async () => {
      await links.add({ name: 'br0', kind: 'bridge', mac: '02:77:65:66:74:01', mtu: 1400 });
      const { index, ...link } = await linkOf(kernel, 'br0');
      assert.ok(index > 1);
      assert.deepEqual(link, {
        name: 'br0',
        kind: 'bridge',
        mac: '02:77:65:66:74:01',
        mtu: 1400,
        up: false,
        master: undefined,
        isolated: undefined,
      });
      assert.deepEqual(await links.list().then(all => all.find(l => l.name === 'br0')), { index, ...link });
    });

    test('lo is always there', async () => {
      assert.equal((await linkOf(kernel, 'lo')).index, 1);
    });

    test('a name is taken once', async () => {
      await subject.addVeth('d0');
      await fails(links.add({ name: 'd0', kind: 'bridge' }), 'EEXIST');
      assert.equal((await linkOf(kernel, 'd0')).kind, 'veth');
    });

    test('what is not there is undefined to get and ENODEV to change', async () => {
      assert.equal(await links.get('none0'), undefined);
      await fails(links.change('none0', { up: true }), 'ENODEV');
      await fails(links.remove('none0'), 'ENODEV');
      assert.equal(await links.at(9999), undefined);
      assert.equal(await links.at(0), undefined);
    });

    test('a link is found by its index too', async () => {
      await links.add({ name: 'br0', kind: 'bridge' });
      const link = await linkOf(kernel, 'br0');
      assert.deepEqual(await links.at(link.index), link);
      await links.remove('br0');
      assert.equal(await links.at(link.index), undefined);
    });

    test('a name that is too long, a multicast MAC, an MTU below 68', async () => {
      await fails(links.add({ name: 'a-name-of-16-byt', kind: 'bridge' }), 'ERANGE', 'EINVAL');
      await links.add({ name: 'br0', kind: 'bridge', mac: '02:00:00:00:00:01' });
      const before = await linkOf(kernel, 'br0');
      await fails(links.change('br0', { mac: '01:00:00:00:00:01' }), 'EADDRNOTAVAIL');
      await fails(links.change('br0', { mtu: 60 }), 'EINVAL');
      assert.deepEqual(await linkOf(kernel, 'br0'), before);
    });

    test('only the fields given are changed', async () => {
      await links.add({ name: 'd0', kind: 'bridge', mac: '02:00:00:00:00:01', mtu: 1300 });
      const before = await linkOf(kernel, 'd0');
      await links.change('d0', { up: true });
      assert.deepEqual(await linkOf(kernel, 'd0'), { ...before, up: true });
      await links.change('d0', { mtu: 1350, mac: '02:00:00:00:00:02' });
      assert.deepEqual(await linkOf(kernel, 'd0'), {
        ...before,
        up: true,
        mtu: 1350,
        mac: '02:00:00:00:00:02',
      });
      await links.change('d0', { up: false });
      assert.equal((await linkOf(kernel, 'd0')).up, false);
    });

    test('a port has a master and is isolated on request, in one change', async () => {
      await links.add({ name: 'br0', kind: 'bridge' });
      await subject.addVeth('d0');
      const bridge = await linkOf(kernel, 'br0');
      await links.change('d0', { master: bridge.index, isolated: true, up: true });
      const port = await linkOf(kernel, 'd0');
      assert.deepEqual([port.master, port.isolated, port.up], [bridge.index, true, true]);
      await links.change('d0', { isolated: false });
      assert.equal((await linkOf(kernel, 'd0')).isolated, false);
      await links.change('d0', { master: 0 });
      const free = await linkOf(kernel, 'd0');
      assert.deepEqual([free.master, free.isolated], [undefined, undefined]);
    });

    test('a port outlives its bridge', async () => {
      await links.add({ name: 'br0', kind: 'bridge' });
      await subject.addVeth('d0');
      await links.change('d0', { master: (await linkOf(kernel, 'br0')).index });
      await links.remove('br0');
      assert.equal((await linkOf(kernel, 'd0')).master, undefined);
    });

    test('only a port can be isolated, and only a bridge has ports', async () => {
      await subject.addVeth('d0');
      await subject.addVeth('d1');
      await fails(links.change('d0', { isolated: true }), 'EOPNOTSUPP', 'EINVAL', 'ENOTSUP');
      await fails(
        links.change('d0', { master: (await linkOf(kernel, 'd1')).index }),
        'EOPNOTSUPP',
        'ENOTSUP',
      );
    });

    test('requests may overlap', async () => {
      const names = Array.from({ length: 40 }, (_, n) => `d${n}`);
      await Promise.all([
        ...names.map(name => links.add({ name, kind: 'bridge' })),
        ...names.map(() => links.list()),
        ...names.map(() => kernel.routes.ours()),
      ]);
      const all = (await links.list()).map(link => link.name);
      assert.deepEqual(
        names.filter(name => !all.includes(name)),
        [],
      );
      const found = await Promise.all(names.map(name => links.get(name)));
      assert.deepEqual(
        found.map(link => link?.name),
        names,
      );
    });

    test('every change is counted, no reading is', async () => {
      const before = kernel.counts();
      await links.list();
      await links.get('lo');
      assert.deepEqual(kernel.counts(), before);
      await links.add({ name: 'd0', kind: 'bridge' });
      assert.deepEqual(kernel.counts(), { spawns: before.spawns, changes: before.changes + 1 });
    });
  });
}
