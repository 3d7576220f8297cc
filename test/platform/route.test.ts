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
