/** Which connections are cut, and by what their answering ends are held. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Flow } from '../../platform/linux/ctflow.ts';
import type { ElementChange, Nft } from '../../platform/linux/types.ts';
import { newCompiler } from '../../policy/compile.ts';
import { startCutter } from '../../policy/cut.ts';
import { cutFlowSet, cutSet } from '../../policy/render.ts';
import type { Ip } from '../../types.ts';
import { memoryLog, until } from '../discovery/helpers.ts';
import { podObject, toPod, toPolicy } from './clusters.ts';

const SERVER = '10.42.1.2' as Ip;
const CLIENT = '10.42.2.7' as Ip;
const VIP = '10.43.0.9' as Ip;
const NODE = '10.42.1.1' as Ip;

const CLOSED = newCompiler()({
  self: 'node1',
  policies: [toPolicy({ metadata: { namespace: 'x', name: 'deny' }, spec: { podSelector: {} } })],
  pods: [toPod(podObject('x', 'a', 'node1', [SERVER, 'fd42::2']))],
  namespaces: [],
  nodes: [],
  unknown: [],
});

/** From the client to the server's port 80, which it knows by `dst`. */
const flow = (protocol: number, more: Partial<Flow> = {}): Flow =>
  ({
    protocol,
    src: CLIENT,
    dst: VIP,
    srcPort: 4_000,
    dstPort: 8_080,
    replySrc: SERVER,
    replySrcPort: 80,
    replyDst: CLIENT,
    replyDstPort: 4_000,
    ...more,
  }) as Flow;

function setUp(t: TestContext, all: readonly Flow[], elements: Nft['elements']) {
  const removed: Flow[] = [];
  let lists = 0;
  const cutter = startCutter({
    flows: {
      list: async keep => {
        lists += 1;
        if (lists === 1) throw new Error('the kernel is busy');
        return all.filter(keep);
      },
      remove: async flows => {
        removed.push(...flows);
        return flows.length;
      },
      close: () => {},
    },
    nft: { elements } as Nft,
    local: async () => new Set([NODE]),
    log: memoryLog(),
  });
  t.after(() => cutter.close());
  return { cutter, removed };
}

const [TCP, UDP, SCTP, ICMP] = [6, 17, 132, 1] as const;

test('what the rules forbid is cut, and its answering end held, by the protocol; what is the node’s own stays', async t => {
  const held: ElementChange[] = [];
  const back = { src: SERVER, dst: CLIENT, replySrc: CLIENT, replyDst: SERVER };
  const flows = [
    flow(TCP),
    flow(UDP),
    flow(SCTP),
    flow(ICMP),
    flow(UDP, {
      src: 'fd42::9' as Ip,
      dst: 'fd42::2' as Ip,
      replySrc: 'fd42::2' as Ip,
      replyDst: 'fd42::9' as Ip,
    }),
    flow(TCP, { src: NODE, replyDst: NODE }),
    flow(TCP, back),
    flow(TCP, { replySrc: '10.42.1.3' as Ip }),
  ];
  const { cutter, removed } = setUp(t, flows, async (_family, _table, changes) => void held.push(...changes));
  cutter.mark(CLOSED);
  await until(() => cutter.count() > 0, 'the second look');
  assert.deepEqual(removed, flows.slice(0, 5));
  const ends = `${Buffer.from([10, 42, 1, 2, 0, 80, 0, 0, 10, 42, 2, 7, 15, 160, 0, 0]).toString('hex')}`;
  assert.deepEqual(held.map(({ op, set, key }) => [op, set, Buffer.from(key).toString('hex')]).slice(0, 3), [
    ['add', cutSet(4), ends],
    ['add', cutFlowSet(4), `11000000${ends}`],
    ['add', cutFlowSet(4), `84000000${ends}`],
  ]);
  assert.deepEqual(
    held.slice(3).map(({ set }) => set),
    [cutFlowSet(6)],
  );
});

test('connections are cut also where their answering ends cannot be held', async t => {
  const { cutter, removed } = setUp(t, [flow(UDP)], () => Promise.reject(new Error('the set is full')));
  cutter.mark(CLOSED);
  await until(() => cutter.count() === 1, 'the cut');
  assert.equal(removed.length, 1);
});
