/** Where a packet would leave, and what is no answer to that question. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LinuxError } from '../../platform/linux/errors.ts';
import { routesOn } from '../../platform/linux/route.ts';
import type { Ip } from '../../types.ts';
import { indexes, scripted } from './scripted.ts';

const TO = '192.0.2.7' as Ip;
/** rtmsg; RTA_OIF 5, RTA_PREFSRC. */
const ANSWER = `02200000fe00000100020000${'0800040005000000'}${'080007000a2a0001'}`;

/** RTM_NEWROUTE of 10.42.N.0/24 by link 5, protocol 119, and a default route by link 5, protocol 3. */
const ROUTE = (n: number) =>
  Buffer.from(`02180000fe77fd0100000000${`080001000a2a0${n}00`}${'0800040005000000'}`, 'hex');
const DEFAULT = Buffer.from(`02000000fe03000100000000${'08000500c0000201'}${'0800040005000000'}`, 'hex');
/** The same of the local table, and of somebody else. */
const OTHERS = [
  Buffer.from(`02180000ff77fd0100000000${'080001000a2a0900'}`, 'hex'),
  Buffer.from(`02180000fe03fd0100000000${'080001000a2a0900'}${'0800040005000000'}`, 'hex'),
];

describe('the list of routes', () => {
  const ours = (n: number, link = 'weft-wg') => ({ dst: `10.42.${n}.0/24`, kind: 'unicast', link });

  test('has ours and default routes, of one reading', async () => {
    const { rt, asked } = scripted({ dump: async () => [ROUTE(2), DEFAULT, ...OTHERS] });
    assert.deepEqual(await routesOn(rt, indexes).read(), {
      ours: [ours(2)],
      defaults: [{ dst: '0.0.0.0/0', kind: 'unicast', link: 'weft-wg', via: '192.0.2.1', protocol: 3 }],
    });
    assert.equal(asked.length, 1);
  });

  test('has the same objects again for what did not change, and new ones for what did', async () => {
    let [table, name] = [[ROUTE(2), ROUTE(3)], 'weft-wg'];
    const { rt } = scripted({ dump: async () => table.map(message => Buffer.from(message)) });
    const routes = routesOn(rt, { ...indexes, names: async () => new Map([[5, name]]) });
    const before = await routes.ours();
    table = [ROUTE(3), ROUTE(4)];
    const after = await routes.ours();
    assert.deepEqual(after, [ours(3), ours(4)]);
    assert.equal(after[0], before[1]);
    name = 'renamed';
    assert.deepEqual(await routes.ours(), [ours(3, name), ours(4, name)]);
  });
});

describe('looking a destination up', () => {
  test('asks for one route and one link’s name', async () => {
    const { rt, asked } = scripted({ get: async () => Buffer.from(ANSWER, 'hex') });
    const names = async (): Promise<never> => assert.fail('listed all links');
    assert.deepEqual(await routesOn(rt, { ...indexes, names }).lookup(TO), {
      link: 'weft-wg',
      src: '10.42.0.1',
    });
    assert.deepEqual(asked, [{ type: 26, flags: 0, hex: `022000000000000000000000${'08000100c0000207'}` }]);
  });

  for (const code of ['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL'])
    test(`${code} is no way`, async () => {
      const { rt } = scripted({ get: () => Promise.reject(new LinuxError(code, code)) });
      assert.equal(await routesOn(rt, indexes).lookup(TO), undefined);
    });

  for (const code of ['EPERM', 'ENOBUFS', 'ETIMEDOUT', 'EFAILED'])
    test(`${code} is an error, not an answer`, async () => {
      const { rt } = scripted({ get: () => Promise.reject(new LinuxError(code, code)) });
      await assert.rejects(routesOn(rt, indexes).lookup(TO), { code });
    });

  test('a link that has gone meanwhile is no way', async () => {
    const { rt } = scripted({
      get: async () => Buffer.from(ANSWER.replace('0800040005', '0800040009'), 'hex'),
    });
    assert.equal(await routesOn(rt, indexes).lookup(TO), undefined);
  });
});
