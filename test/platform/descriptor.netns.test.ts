/** Answers of the kernel that are read in the turn in which they were asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Protocol, RawNetlinkSocket } from 'netlink';
import { netlinkDescriptor, receiveNow } from '../../platform/linux/descriptor.ts';
import { LinuxError } from '../../platform/linux/errors.ts';
import { openSetElements } from '../../platform/linux/nfsocket.ts';
import { here } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';

await enterLab(import.meta.filename);

const KEY = Buffer.from([10, 9, 0, 1]);
const SIZES = { recvBufferSize: 1 << 16, sendBufferSize: 1 << 16 };

/** Whether the event loop did not ask for news of any socket meanwhile: all was done at the end of this turn. */
async function atOnce(work: () => Promise<unknown>): Promise<boolean> {
  let turned = false;
  setImmediate(() =>
    setImmediate(() => {
      turned = true;
    }),
  );
  await work();
  return !turned;
}

test('set elements are changed, or refused, within the turn', async () => {
  await here(['nft', 'add table inet t; add set inet t s { type ipv4_addr; }']);
  let port = 0x5000_0000;
  const elements = openSetElements(() => {
    port += 1;
    return port;
  });
  try {
    const change = (op: 'add' | 'delete') => elements.change('inet', 't', [{ op, set: 's', key: KEY }]);
    assert.ok(await atOnce(() => change('add')));
    assert.match(await here(['nft', 'list set inet t s']), /10\.9\.0\.1/);
    assert.ok(await atOnce(() => change('delete')));
    const refused = (error: unknown): boolean => error instanceof LinuxError && error.code === 'ENOENT';
    assert.ok(await atOnce(() => assert.rejects(change('delete'), refused)));
  } finally {
    elements.close();
    await here(['nft', 'delete table inet t']);
  }
});

test('a socket is found by protocol and port, and no other for it', () => {
  const [protocol, port] = [Protocol.NETFILTER, 0x5100_0001];
  assert.equal(netlinkDescriptor(protocol, port), undefined);
  const socket = new RawNetlinkSocket(protocol, { localPort: port, ...SIZES });
  const other = new RawNetlinkSocket(Protocol.ROUTE, { localPort: port, ...SIZES });
  const found = netlinkDescriptor(protocol, port);
  assert.ok(found !== undefined && found !== netlinkDescriptor(Protocol.ROUTE, port));
  assert.equal(receiveNow(found), undefined);
  other.close();
  socket.close();
  assert.equal(netlinkDescriptor(protocol, port), undefined);
});
