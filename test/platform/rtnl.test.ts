/** Requests and dumps over sockets of the package's shape. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { NetlinkSocket } from 'netlink';
import { FLAG, rtnlOver } from '../../platform/linux/rtnl.ts';

type Reply = { readonly data: Buffer; readonly flags: number };
type Answer = (type: number, flags: number) => Promise<readonly Reply[]>;

const MULTI = 0x2;
const INTERRUPTED = 0x10;
const part = (text: string, flags = MULTI): Reply => ({ data: Buffer.from(text), flags });

function socketOf(answer: Answer): NetlinkSocket {
  const request = async (type: number, _: unknown, { flags }: { flags: number }) => [
    await answer(type, flags),
  ];
  return { request, close: () => {} } as unknown as NetlinkSocket;
}

const never: Answer = () => assert.fail('the wrong socket');

function over(requests: Answer, dumps: Answer) {
  const [a, b] = [socketOf(requests), socketOf(dumps)];
  return rtnlOver({ requests: () => a, dumps: () => b });
}

const words = (buffers: readonly Buffer[]): string[] => buffers.map(String);

describe('a dump', () => {
  test('goes by its own socket, whole', async () => {
    const rt = over(never, async (type, flags) => {
      assert.deepEqual([type, flags], [18, FLAG.dump]);
      return [part('a'), part('b')];
    });
    assert.deepEqual(words(await rt.dump('list', 18, [])), ['a', 'b']);
    assert.equal(rt.changes(), 0);
  });

  test('that was interrupted, in whichever part, is asked for again', async () => {
    const answers = [
      [part('a', MULTI | INTERRUPTED), part('b')],
      [part('a'), part('b', MULTI | INTERRUPTED)],
      [part('a'), part('b'), part('c')],
    ];
    const rt = over(never, async () => answers.shift() ?? assert.fail('asked once too often'));
    assert.deepEqual(words(await rt.dump('list', 18, [])), ['a', 'b', 'c']);
    assert.equal(answers.length, 0);
  });

  test('that is interrupted each time is an error in the end, not half a table', async () => {
    let asked = 0;
    const rt = over(never, async () => {
      asked += 1;
      return [part('a', INTERRUPTED)];
    });
    await assert.rejects(rt.dump('list links', 18, []), { code: 'EINTR', message: /^list links: / });
    assert.ok(asked > 1 && asked <= 20, `asked ${asked} times`);
  });

  test('waits for the one before, also where that fails', async () => {
    let running = 0;
    const rt = over(never, async type => {
      running += 1;
      assert.equal(running, 1);
      await turn();
      running -= 1;
      if (type === 1) throw new Error('Request rejected: EPERM');
      return [part(String(type))];
    });
    const all = [0, 1, 2, 3].map(type => rt.dump('list', type, []));
    const done = await Promise.allSettled(all);
    assert.deepEqual(
      done.map(d => (d.status === 'fulfilled' ? words(d.value) : d.reason.code)),
      [['0'], 'EPERM', ['2'], ['3']],
    );
  });
});

describe('a request', () => {
  test('is sent at once, in the order of the calls, and a change is counted', async () => {
    const sent: number[] = [];
    const rt = over(async type => {
      sent.push(type);
      await turn();
      return [];
    }, never);
    const both = [rt.change('a', 16, 0, []), rt.change('b', 17, 0, [])];
    assert.deepEqual(sent, [16, 17]);
    await Promise.all(both);
    assert.equal(await rt.get('c', 18, []), undefined);
    assert.equal(rt.changes(), 2);
  });

  const refusals: readonly (readonly [Error, string, RegExp])[] = [
    [new Error('Request rejected: EEXIST'), 'EEXIST', /^add link a: EEXIST$/],
    [new Error('Timeout has been reached'), 'ETIMEDOUT', /^add link a: ETIMEDOUT$/],
    [Object.assign(new Error('sendmsg'), { code: 'ENOBUFS' }), 'ENOBUFS', /^add link a: ENOBUFS$/],
    [new Error('something else'), 'EFAILED', /^add link a: something else$/],
  ];
  for (const [cause, code, message] of refusals)
    test(`"${cause.message}" is ${code}`, async () => {
      const rt = over(() => Promise.reject(cause), never);
      await assert.rejects(rt.change('add link a', 16, 0, []), { name: 'Error', code, message, cause });
    });
});
