import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { generateKey } from '../../mesh/key.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import type { Exec } from '../../platform/linux/exec.ts';
import type { WgChange } from '../../platform/linux/types.ts';
import { parseUapi } from '../../platform/linux/uapi.ts';
import { setArguments, wgOver } from '../../platform/linux/wg.ts';
import { parseWgDump } from '../../platform/linux/wgdump.ts';
import type { Cidr, Endpoint, PublicKey } from '../../types.ts';

const key = (n: number): PublicKey => Buffer.alloc(32, n).toString('base64') as PublicKey;
const SECRET = Buffer.alloc(32, 0x5e).toString('base64');

describe('wg show LINK dump', () => {
  test('a device with three peers', async () => {
    const text = [
      [SECRET, key(1), '51820', 'off'],
      [key(2), '(none)', '192.0.2.1:51820', '10.42.1.0/24,fd42:1::/64', '1700000000', '10', '20', '25'],
      [key(3), SECRET, '[2001:db8::1]:51821', '(none)', '0', '0', '148', 'off'],
      [key(4), '(none)', '(none)', '0.0.0.0/0', '0', '0', '0', 'off'],
    ];
    const device = await parseWgDump(`${text.map(line => line.join('\t')).join('\n')}\n`);
    const peer = { latestHandshake: 0, rxBytes: 0, txBytes: 0, keepalive: 0 };
    assert.deepEqual(device, {
      publicKey: key(1),
      listenPort: 51820,
      peers: [
        {
          publicKey: key(2),
          endpoint: '192.0.2.1:51820',
          allowedIps: ['10.42.1.0/24', 'fd42:1::/64'],
          latestHandshake: 1_700_000_000_000,
          rxBytes: 10,
          txBytes: 20,
          keepalive: 25,
        },
        { ...peer, publicKey: key(3), endpoint: '[2001:db8::1]:51821', allowedIps: [], txBytes: 148 },
        { ...peer, publicKey: key(4), endpoint: undefined, allowedIps: ['0.0.0.0/0'] },
      ],
    });
    assert.equal(JSON.stringify(device).includes(SECRET), false);
  });

  test('a device without key and peers', async () => {
    const none = { publicKey: undefined, listenPort: 0, peers: [] };
    assert.deepEqual(await parseWgDump('(none)\t(none)\t0\toff\n'), none);
  });

  test('what is no dump does not throw, and no private key comes through', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.string({ maxLength: 12 }), { maxLength: 9 }), { maxLength: 5 }),
        async lines => {
          const device = await parseWgDump(lines.map(words => [SECRET, ...words].join('\t')).join('\n'));
          assert.equal(JSON.stringify({ ...device, peers: [] }).includes(SECRET), false);
        },
      ),
    );
  });
});

describe('what a wireguard-go says on its socket', () => {
  const hex = (n: number): string => Buffer.alloc(32, n).toString('hex');
  const secret = Buffer.alloc(32, 0x58);
  const text = [
    `private_key=${secret.toString('hex')}`,
    'listen_port=51820',
    'fwmark=0',
    `public_key=${hex(2)}`,
    `preshared_key=${'0'.repeat(64)}`,
    'protocol_version=1',
    'endpoint=192.0.2.1:51820',
    'last_handshake_time_sec=1700000000',
    'last_handshake_time_nsec=5',
    'tx_bytes=20',
    'rx_bytes=10',
    'persistent_keepalive_interval=25',
    'allowed_ip=10.42.1.0/24',
    'allowed_ip=fd42:1::/64',
    `public_key=${hex(3)}`,
    'endpoint=[2001:db8::1]:51821',
    'errno=0',
    '',
    '',
  ].join('\n');

  test('is the device that wg would show', async () => {
    const pair = generateKey(() => secret);
    const dump = [
      [pair.privateKey, pair.publicKey, '51820', 'off'],
      [key(2), '(none)', '192.0.2.1:51820', '10.42.1.0/24,fd42:1::/64', '1700000000', '10', '20', '25'],
      [key(3), '(none)', '[2001:db8::1]:51821', '(none)', '0', '0', '0', 'off'],
    ];
    assert.deepEqual(await parseUapi(text), await parseWgDump(dump.map(line => line.join('\t')).join('\n')));
    assert.equal(JSON.stringify(await parseUapi(text)).includes(pair.privateKey), false);
  });

  test('without a key it is nobody yet', async () => {
    const none = { publicKey: undefined, listenPort: 0, peers: [] };
    assert.deepEqual(await parseUapi(`private_key=${'0'.repeat(64)}\nerrno=0\n\n`), none);
    assert.deepEqual(await parseUapi('errno=0\n\n'), none);
  });

  test('an answer that broke off, or an error, is none', async () => {
    assert.equal(await parseUapi(text.slice(0, -2)), undefined);
    assert.equal(await parseUapi('errno=-5\n\n'), undefined);
    assert.equal(await parseUapi(''), undefined);
  });
});

describe('wg set', () => {
  const changes: readonly WgChange[] = [
    { kind: 'remove', publicKey: key(9) },
    {
      kind: 'peer',
      publicKey: key(2),
      endpoint: '192.0.2.1:51820' as Endpoint,
      allowedIps: ['10.42.1.0/24', 'fd42:1::/64'] as unknown as readonly Cidr[],
      keepalive: 25,
    },
    { kind: 'peer', publicKey: key(3), allowedIps: [] },
    { kind: 'device', privateKey: SECRET, listenPort: 51820 },
  ];

  test('one call: the device first, then peers in the order given', () => {
    const line = [
      'private-key /dev/stdin listen-port 51820',
      `peer ${key(9)} remove`,
      `peer ${key(2)} endpoint 192.0.2.1:51820 allowed-ips 10.42.1.0/24,fd42:1::/64 persistent-keepalive 25`,
      `peer ${key(3)} allowed-ips `,
    ].join(' ');
    assert.equal(setArguments(changes).join(' '), line);
    assert.equal(setArguments(changes).at(-1), '');
  });

  test('the private key is in no argument; it goes as a secret', async () => {
    const calls: Parameters<Exec>[] = [];
    const exec: Exec = async (...call) => {
      calls.push(call);
      return '';
    };
    let changed = 0;
    const wg = wgOver(exec, () => {
      changed += 1;
    });
    await wg.set('wg9', changes);
    await wg.set('wg9', changes.slice(0, 3));
    assert.equal(calls.length, 2);
    assert.equal(changed, 2);
    const [withKey, without] = calls;
    assert.equal(
      withKey?.[0].some(word => word.includes(SECRET)),
      false,
    );
    assert.deepEqual(withKey?.slice(1), [SECRET, true]);
    assert.deepEqual(without?.slice(1), ['', false]);
  });

  const says = (words: string) =>
    wgOver(
      async () => Promise.reject(new LinuxError('EFAILED', words)),
      () => {},
    );
  for (const words of [
    'No such device',
    'Operation not supported',
    'Protocol not supported',
    'Connection refused',
  ])
    test(`"${words}" is absence`, async () => {
      assert.equal(await says(`wg show wg9: Unable to access interface: ${words}`).dump('wg9'), undefined);
    });
  for (const words of [
    'Unable to access interface: Operation not permitted',
    'cannot run wg: spawn wg ENOENT',
    'exit SIGKILL',
  ])
    test(`"${words}" is an error`, async () => {
      await assert.rejects(says(words).dump('wg9'), LinuxError);
    });
});
