/** Which endpoints a node that has moved cannot send to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deadEnds } from '../../mesh/deadends.ts';
import { plan } from '../../mesh/plan.ts';
import { openFake } from '../../platform/linux/fake.ts';
import type { Way, WgDevice } from '../../platform/linux/types.ts';
import type { Endpoint, Ip } from '../../types.ts';
import { facts, key, node } from './facts.ts';

const at = (n: number): Endpoint => `192.0.2.${n}:51820` as Endpoint;
const at6 = (n: number): Endpoint => `[2001:db8::${n}]:51820` as Endpoint;

const both = (n: number) =>
  node(n, {
    endpoints: [
      { t: 'host', a: at6(n) },
      { t: 'host', a: at(n) },
    ],
  });

const mesh = plan(facts([both(1), both(2), both(3)]));
const device = {
  peers: [
    { publicKey: key(2), endpoint: at6(2) },
    { publicKey: key(3), endpoint: at(3) },
    { publicKey: key(4), endpoint: undefined },
  ],
} as unknown as WgDevice;

const found = async (lookup: (ip: Ip) => Way | undefined | Promise<never>): Promise<readonly string[]> => {
  const kernel = openFake();
  const asked = { ...kernel, routes: { ...kernel.routes, lookup: async (ip: Ip) => lookup(ip) } };
  return [...(await deadEnds(asked, mesh, device))].sort();
};

const by = (src: string | undefined): Way => ({ link: 'eth0', src: src as Ip | undefined });

test('those without a route, or with none but a link-local source, and the candidates of their peers likewise', async () => {
  const only4 = (ip: Ip): Way | undefined => (ip.includes(':') ? undefined : by('192.0.2.1'));
  assert.deepEqual(await found(only4), [at6(2)]);
  assert.deepEqual(await found(ip => only4(ip) ?? by('fe80::1')), [at6(2)]);
  assert.deepEqual(await found(() => undefined), [at(2), at(3), at6(2), at6(3)].sort());
});

test('none where each has a way, whatever its source', async () => {
  assert.deepEqual(await found(() => by(undefined)), []);
  assert.deepEqual(await found(() => by('2001:db8::1')), []);
});

test('a look that fails says nothing of its endpoint, nor keeps others from theirs', async () => {
  const failing = (ip: Ip): Way | undefined | Promise<never> =>
    ip === '2001:db8::2' ? Promise.reject(new Error('the kernel did not answer')) : undefined;
  assert.deepEqual(await found(failing), [at(3), at6(3)].sort());
});

test('each endpoint is looked up once', async () => {
  const asked: Ip[] = [];
  await found(ip => {
    asked.push(ip);
    return undefined;
  });
  assert.deepEqual(asked.sort(), ['192.0.2.2', '192.0.2.3', '2001:db8::2', '2001:db8::3']);
});
