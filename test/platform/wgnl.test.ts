/** The kernel's own WireGuard over generic netlink, message by message. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { attr, nest, text } from '../../platform/linux/attrs.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { openWgNetlink, parseDevice } from '../../platform/linux/wgnl.ts';
import { scripted } from './scripted.ts';

const key = (n: number): Buffer => Buffer.alloc(32, n);
const SECRET = Buffer.alloc(32, 0x5e);

const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);
const u64 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [n, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), 8 * n);
  return bytes;
};

/** genlmsghdr, then attributes. */
const message = (...attrs: readonly Buffer[]): Buffer => Buffer.concat([Buffer.from([0, 1, 0, 0]), ...attrs]);

const allowed = (family: number, address: readonly number[], prefix: number): Buffer =>
  nest(0, attr(1, u16(family)), attr(2, Buffer.from(address)), attr(3, Buffer.from([prefix])));

const V4 = allowed(2, [10, 42, 1, 0], 24);
const V6 = allowed(10, [0xfd, 0x42, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 64);

/** struct sockaddr_in of 192.0.2.1:51820, struct sockaddr_in6 of [2001:db8::1]:51821. */
const AT4 = Buffer.from('0200ca6cc00002010000000000000000', 'hex');
const AT6 = Buffer.from(`0a00ca6d00000000${'20010db8000000000000000000000001'}00000000`, 'hex');

const peers = (...all: readonly Buffer[]): Buffer => nest(8, ...all);

const WHOLE = message(
  attr(1, Buffer.from([5, 0, 0, 0])),
  text(2, 'weft-wg'),
  attr(3, SECRET),
  attr(4, key(1)),
  attr(6, u16(51820)),
  peers(
    nest(
      0,
      attr(1, key(2)),
      attr(4, AT4),
      attr(5, u16(25)),
      attr(6, u64(1_700_000_000, 5)),
      attr(7, u64(10)),
      attr(8, u64(20)),
      nest(9, V4),
    ),
  ),
);

const PEER = {
  publicKey: key(2).toString('base64'),
  endpoint: '192.0.2.1:51820',
  allowedIps: ['10.42.1.0/24', 'fd42:0:0:1::/64'],
  latestHandshake: 1_700_000_000_000,
  rxBytes: 10,
  txBytes: 20,
  keepalive: 25,
};

describe('a device', () => {
  test('in two messages, the second of which goes on with the networks of a peer', async () => {
    const more = message(
      text(2, 'weft-wg'),
      peers(nest(0, attr(1, key(2)), nest(9, V6)), nest(0, attr(1, key(3)), attr(4, AT6))),
    );
    const device = await parseDevice([WHOLE, more]);
    assert.deepEqual(device, {
      publicKey: key(1).toString('base64'),
      listenPort: 51820,
      peers: [
        PEER,
        {
          publicKey: key(3).toString('base64'),
          endpoint: '[2001:db8::1]:51821',
          allowedIps: [],
          latestHandshake: 0,
          rxBytes: 0,
          txBytes: 0,
          keepalive: 0,
        },
      ],
    });
    assert.equal(JSON.stringify(device).includes(SECRET.toString('base64')), false);
  });

  test('without key and peers', async () => {
    const none = { publicKey: undefined, listenPort: 7, peers: [] };
    assert.deepEqual(await parseDevice([message(attr(6, u16(7)))]), none);
  });
});

describe('asking for it', () => {
  const FAMILY = message(text(2, 'wireguard'), attr(1, u16(0x1f)));

  test('the family is asked for once, the device each time', async () => {
    const { rt, asked } = scripted({ get: async () => FAMILY, dump: async () => [WHOLE] });
    const read = openWgNetlink(rt);
    const [one, two] = await Promise.all([read('weft-wg'), read('weft-wg')]);
    assert.deepEqual([one.listenPort, two.peers.length], [51820, 1]);
    const name = (hex: string): string =>
      Buffer.from(hex, 'hex')
        .toString()
        .replace(/[^\w-]/g, '');
    assert.deepEqual(
      asked.map(({ type, hex }) => [type, name(hex)]),
      [
        [16, 'wireguard'],
        [0x1f, 'weft-wg'],
        [0x1f, 'weft-wg'],
      ],
    );
  });

  test('a kernel without it is an error, and is asked again the next time', async () => {
    let loaded = false;
    const { rt } = scripted({
      get: async () => (loaded ? FAMILY : Promise.reject(new LinuxError('ENOENT', 'no family'))),
      dump: async () => [WHOLE],
    });
    const read = openWgNetlink(rt);
    await assert.rejects(read('weft-wg'), { code: 'ENOENT' });
    loaded = true;
    assert.equal((await read('weft-wg')).listenPort, 51820);
  });
});
