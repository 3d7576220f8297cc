/** Addresses and neighbours: bytes to the kernel and from it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hostCidr, ipFromBytes } from '../../ip.ts';
import { addHostAddress, addressesOn, parseAddress } from '../../platform/linux/addr.ts';
import { attr } from '../../platform/linux/attrs.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { neighboursOn } from '../../platform/linux/neigh.ts';
import type { Ip } from '../../types.ts';
import { indexes, scripted } from './scripted.ts';

const CREATE_EXCL = 0x600;
const CREATE_REPLACE = 0x500;
const V6 = 'fd420000000000000000000000000001';

describe('an address', () => {
  const table: readonly (readonly [string, string])[] = [
    // ifaddrmsg; IFA_LOCAL, IFA_ADDRESS.
    ['10.42.0.1/32', `0220000005000000${'080002000a2a0001'}${'080001000a2a0001'}`],
    // And IFA_FLAGS with IFA_F_NODAD.
    ['fd42::1/128', `0a80000005000000${`14000200${V6}`}${`14000100${V6}`}${'0800080002000000'}`],
    [
      '::/0',
      `0a00000005000000${`14000200${'00'.repeat(16)}`}${`14000100${'00'.repeat(16)}`}${'0800080002000000'}`,
    ],
  ];
  for (const [address, hex] of table)
    test(`${address} as bytes`, async () => {
      const { rt, asked } = scripted();
      await addressesOn(rt, indexes).add({ link: 'weft-wg', address });
      assert.deepEqual(asked, [{ type: 20, flags: CREATE_EXCL, hex }]);
      assert.deepEqual(parseAddress(Buffer.from(hex, 'hex')), { index: 5, address });
    });

  const refused = [
    '',
    '10.42.0.1',
    '10.42.0.1/',
    '10.42.0.1/33',
    '10.42.0.1/-1',
    '10.42.0.1/1e1',
    'fd42::1/129',
  ];
  for (const address of [...refused, '10.42.0.1/32/1', '10.42.0/24', ' 10.42.0.1/32', 'fe80::1%eth0/64'])
    test(`${JSON.stringify(address)} is refused before the kernel sees it`, async () => {
      const { rt, asked } = scripted();
      await assert.rejects(
        addressesOn(rt, indexes).add({ link: 'weft-wg', address }),
        (error: unknown) => error instanceof LinuxError && error.code === 'EINVAL',
      );
      assert.deepEqual(asked, []);
    });

  test('any address is read back as it was written', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }).map(b => Uint8Array.of(0xfd, ...b.slice(1))),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async given => {
        const ip = ipFromBytes(given);
        const { rt, asked } = scripted();
        await addHostAddress(rt, 5, ip);
        assert.equal(parseAddress(Buffer.from(asked[0]?.hex ?? '', 'hex')).address, hostCidr(ip));
      }),
    );
  });

  const flagged: readonly (readonly [string, number, number, string, boolean])[] = [
    ['temporary', 10, 0x01, '01030000', true],
    ['deprecated', 10, 0x20, 'a0030000', true],
    ['tentative', 10, 0x40, '40000000', true],
    ['a double', 10, 0x08, '88000000', true],
    ['permanent, without detection', 10, 0x82, '82020000', false],
    ['managed by hand', 10, 0x80, '80010000', false],
    ['secondary, of IPv4', 2, 0x01, '81000000', false],
  ];
  for (const [what, family, head, flags, fleeting] of flagged)
    test(`${what}: ${fleeting ? 'fleeting' : 'stays'}`, () => {
      const bytes = Buffer.alloc(family === 10 ? 16 : 4, 9);
      const start = Buffer.from([family, 64, head, 0, 5, 0, 0, 0]);
      const expected = fleeting ? true : undefined;
      const whole = Buffer.concat([start, attr(1, bytes), attr(8, Buffer.from(flags, 'hex'))]);
      assert.equal(parseAddress(whole).fleeting, expected);
      assert.equal(parseAddress(Buffer.concat([start, attr(1, bytes)])).fleeting, expected);
    });

  test('a list names the links, and filters by one', async () => {
    const on = (index: number, last: number) =>
      Buffer.from(
        `02200000${index.toString(16).padStart(2, '0')}000000080002000a2a00${last.toString(16).padStart(2, '0')}`,
        'hex',
      );
    const { rt } = scripted({ dump: async () => [on(5, 1), on(6, 2)] });
    const addresses = addressesOn(rt, indexes);
    assert.deepEqual(await addresses.list(), [
      { link: 'weft-wg', address: '10.42.0.1/32' },
      { link: '', address: '10.42.0.2/32' },
    ]);
    assert.deepEqual(await addresses.list('weft-wg'), [{ link: 'weft-wg', address: '10.42.0.1/32' }]);
  });
});

describe('a neighbour', () => {
  const mac = '02:77:65:66:74:00';
  const table: readonly (readonly [string, string])[] = [
    // ndmsg with NUD_PERMANENT; NDA_DST, NDA_LLADDR.
    ['10.42.0.9', `020000000500000080000000${'080001000a2a0009'}${'0a0002000277656674000000'}`],
    ['fd42::1', `0a0000000500000080000000${`14000100${V6}`}${'0a0002000277656674000000'}`],
  ];
  for (const [ip, hex] of table)
    test(`${ip} as bytes`, async () => {
      const { rt, asked } = scripted({ dump: async () => [Buffer.from(hex, 'hex')] });
      const entry = { link: 'weft-wg', ip: ip as Ip, mac };
      const neighbours = neighboursOn(rt, indexes);
      await neighbours.replace(entry);
      await neighbours.remove(entry);
      assert.deepEqual(asked, [
        { type: 28, flags: CREATE_REPLACE, hex },
        { type: 29, flags: 0, hex },
      ]);
      assert.deepEqual(await neighbours.permanent(), [entry]);
      assert.deepEqual(await neighbours.permanent('weft0'), []);
    });

  test('what is not permanent, has no MAC, or is of a bridge’s own table is left out', async () => {
    const [first = ''] = table.map(([, hex]) => hex);
    const others = [first.replace('80000000', '02000000'), first.slice(0, 40), `07${first.slice(2)}`].map(
      hex => Buffer.from(hex, 'hex'),
    );
    const { rt } = scripted({ dump: async () => others });
    assert.deepEqual(await neighboursOn(rt, indexes).permanent(), []);
  });
});
