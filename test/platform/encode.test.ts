/** Netlink bytes, held to what `ip` and `nft` were seen to send and to the kernel's headers. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  attr,
  macFromBytes,
  macToBytes,
  nest,
  parseAttrs,
  text,
  u8,
  u32,
} from '../../platform/linux/attrs.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { changeLink, createVeth, parseLink } from '../../platform/linux/link.ts';
import { concatKey, elementRuns, encodeBatch, ifnameKey, parseAcks } from '../../platform/linux/nfset.ts';
import { encodeRoute, parseRoute } from '../../platform/linux/route.ts';
import type { Rtnl } from '../../platform/linux/rtnl.ts';
import type { ElementChange, Route } from '../../platform/linux/types.ts';
import type { Cidr, Ip } from '../../types.ts';

/** Keeps what would be sent. */
function recorder(): { readonly rt: Rtnl; readonly sent: { type: number; flags: number; hex: string }[] } {
  const sent: { type: number; flags: number; hex: string }[] = [];
  const change: Rtnl['change'] = async (_, type, flags, payload) => {
    sent.push({ type, flags, hex: Buffer.concat(payload).toString('hex') });
  };
  const rt: Rtnl = {
    change,
    get: async () => undefined,
    dump: async () => [],
    changes: () => 0,
    close: () => {},
  };
  return { rt, sent };
}

describe('attributes', () => {
  test('length, type, value, padding', () => {
    assert.equal(u8(33, 1).toString('hex'), '0500210001000000');
    assert.equal(u32(4, 1420).toString('hex'), '080004008c050000');
    assert.equal(text(3, 'wv1').toString('hex'), '0800030077763100');
    assert.equal(nest(18, text(1, 'veth')).toString('hex'), '1000120009000100766574680000000' + '0');
  });

  test('what is written is read', () => {
    const value = fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.dictionary(fc.integer({ min: 1, max: 0x3fff }).map(String), value), given => {
        const types = Object.keys(given).map(Number);
        const bytes = Buffer.concat(types.map(type => attr(type, given[type] as Buffer)));
        assert.equal(bytes.length % 4, 0);
        const attrs = parseAttrs(bytes);
        for (const type of types) assert.deepEqual(attrs.get(type), given[type]);
        const absent = Array.from({ length: types.length + 1 }, (_, n) => n + 1).find(
          t => !types.includes(t),
        );
        assert.equal(attrs.get(absent as number), undefined);
      }),
    );
  });

  test('bytes that are no attributes end the reading', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.integer({ min: 0, max: 0x3fff }),
        (bytes, type) => void parseAttrs(Buffer.from(bytes)).get(type),
      ),
    );
    assert.equal(parseAttrs(Buffer.from('0300010000000000', 'hex')).get(1), undefined);
    assert.equal(parseAttrs(Buffer.from('ff00010000000000', 'hex')).get(1), undefined);
  });

  test('MACs', () => {
    assert.equal(macToBytes('02:77:65:66:74:00').toString('hex'), '027765667400');
    assert.equal(macFromBytes(Buffer.from('027765667400', 'hex')), '02:77:65:66:74:00');
  });
});

describe('links', () => {
  test('a veth is born on both sides in one message', async () => {
    const { rt, sent } = recorder();
    await createVeth(rt, {
      name: 'eth0',
      mac: '02:00:00:00:00:01',
      mtu: 1420,
      index: 0x100000,
      peerIndex: 0x200000,
      master: 3,
      peerName: 'wv1',
      peerMac: '02:00:00:00:00:02',
      peerNetnsFd: 7,
    });
    const head = (index: string): string => `00000000${index}${'00'.repeat(8)}`;
    const mtu = '080004008c050000';
    const queues = '08001f0001000000' + '0800200001000000';
    const peer = [
      head('00002000'),
      '0800030077763100',
      '0a000100' + '020000000002' + '0000',
      mtu,
      '08001c0007000000',
      queues,
    ].join('');
    const info = `090001007665746800000000${'4c000200'}${'48000100'}${peer}`;
    const hex = [
      head('00001000'),
      '09000300' + '6574683000000000',
      '0a000100' + '020000000001' + '0000',
      mtu,
      '08000a0003000000',
      queues,
      '5c001200',
      info,
    ].join('');
    // NLM_F_CREATE | NLM_F_EXCL
    assert.deepEqual(sent, [{ type: 16, flags: 0x600, hex }]);
  });

  test('a change has only the fields given; isolation follows in a message of its own', async () => {
    const { rt, sent } = recorder();
    await changeLink(rt, 5, { up: true });
    await changeLink(rt, 5, { master: 3, isolated: true });
    const head = (flags: string, change: string): string => `0000000005000000${flags}${change}`;
    assert.deepEqual(
      sent.map(message => message.hex),
      [
        head('01000000', '01000000'),
        `${head('00000000', '00000000')}08000a0003000000`,
        `${head('00000000', '00000000')}1c0012000b00040062726964676500000c0005000500210001000000`,
      ],
    );
  });

  test('bytes that are no link do not throw beyond their head', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 90 }), bytes => {
        assert.equal(typeof parseLink(Buffer.from(bytes)).name, 'string');
      }),
    );
  });
});

describe('routes', () => {
  const names = new Map([[5, 'weft-wg']]);
  const routes: readonly Route[] = [
    { dst: '10.42.1.0/24' as Cidr, kind: 'unicast', link: 'weft-wg', src: '10.42.0.1' as Ip, mtu: 1340 },
    { dst: 'fd42:1::/64' as Cidr, kind: 'unicast', link: 'weft-wg', src: 'fd42::1' as Ip, metric: 1024 },
    { dst: '10.42.0.0/16' as Cidr, kind: 'unreachable', metric: 4_278_198_272 },
    { dst: '::/0' as Cidr, kind: 'unicast', link: 'weft-wg', via: 'fe80::1' as Ip, onlink: true },
  ];

  test('the bytes of one', () => {
    const [route] = routes as [Route];
    assert.equal(
      Buffer.concat(encodeRoute(route, 5)).toString('hex'),
      `02180000fe77fd0100000000${'080001000a2a0100'}${'0800040005000000'}${'080007000a2a0001'}${'0c000800080002003c050000'}`,
    );
  });

  for (const route of routes)
    test(`${route.dst} ${route.kind}: what is written is read`, () => {
      const bytes = Buffer.concat(encodeRoute(route, route.link === undefined ? undefined : 5));
      assert.deepEqual(parseRoute(bytes, names), { route, protocol: 119 });
    });
});

describe('set elements', () => {
  const add = (set: string, n: number): ElementChange => ({
    op: 'add',
    set,
    key: Buffer.from([10, 0, 0, n]),
  });

  test('key fields are padded to 4 bytes, names to 16', () => {
    const key = concatKey(ifnameKey('wv1'), Buffer.from('020000000001', 'hex'), Buffer.from([10, 0, 0, 1]));
    assert.equal(key.toString('hex'), `77763100${'00'.repeat(12)}02000000000100000a000001`);
    for (const name of ['', 'a-name-of-16-byt', 'é'.repeat(8)])
      assert.throws(() => ifnameKey(name), LinuxError);
  });

  test('the bytes of a batch', () => {
    const hex = encodeBatch(
      [{ family: 'inet', table: 'weft', runs: elementRuns([add('pods', 1)]) }],
      7,
    ).toString('hex');
    const begin = '14000000' + '1000' + '0100' + '07000000' + '00000000' + '0000000a';
    const end = '14000000' + '1100' + '0100' + '09000000' + '00000000' + '0000000a';
    const names = '09000100' + '7765667400000000' + '09000200' + '706f647300000000';
    // NFTA_SET_ELEM_LIST_ELEMENTS { element { NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE } } }
    const list = '14000380' + '10000180' + '0c000180' + '08000100' + '0a000001';
    // NFT_MSG_NEWSETELEM with NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, NFPROTO_INET
    const middle = ['40000000', '0c0a', '0504', '08000000', '00000000', '01000000', names, list].join('');
    assert.equal(hex, begin + middle + end);
  });

  test('runs keep every change, the order within a set, and stay small', () => {
    const change = fc.record({
      op: fc.constantFrom<ElementChange['op']>('add', 'delete'),
      set: fc.constantFrom('a', 'b'),
      key: fc.uint8Array({ minLength: 4, maxLength: 4 }).map(bytes => Buffer.from(bytes)),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 600, size: 'max' }), changes => {
        const runs = elementRuns(changes);
        for (const set of ['a', 'b'])
          assert.deepEqual(
            runs.filter(run => run.set === set).flatMap(run => run.elements),
            changes.filter(c => c.set === set),
          );
        for (const run of runs) {
          assert.ok(run.elements.length > 0 && run.elements.length <= 200);
          assert.ok(run.elements.every(c => c.op === run.op && c.set === run.set));
        }
      }),
      { numRuns: 30 },
    );
  });

  test('acknowledgements are read, and nothing else', () => {
    const ack = Buffer.from(
      ['24000000', '0200', '0000', '08000000', '00000000', 'feffffff', '00'.repeat(16)].join(''),
      'hex',
    );
    const other = Buffer.from('14000000' + '0c0a' + '0000' + '09000000' + '00000000' + '00000000', 'hex');
    assert.deepEqual(parseAcks(Buffer.concat([other, ack])), [{ seq: 8, errno: -2 }]);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), bytes => void parseAcks(Buffer.from(bytes))));
  });
});
