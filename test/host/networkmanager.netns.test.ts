/** NetworkManager itself, which looks at every link by default: it touches none of weft's, and leaves them out when told so. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { hands } from '../../doctor/hands.ts';
import type { NodeFacts } from '../../doctor/types.ts';
import { enterLab } from '../lab/reenter.ts';
import { addPod } from '../lab/runtime.ts';
import { assertLossless } from '../lab/traffic.ts';
import { until } from '../lab/wait.ts';
import { type Beside, mended, noBus, reach, startBeside, startBus, typed, WHOLE } from './beside.ts';
import { debian } from './debian.ts';

const program = await debian('network-manager');
const missing = program.missing || noBus;
if (missing === false) await enterLab(import.meta.filename);

/** Addresses, routes, ports of the bridge, and IPv6 by link. */
const STATE = `ip -br addr; ip route; ip -6 route; bridge -d link
for f in /proc/sys/net/ipv6/conf/*; do echo $f $(cat $f/accept_ra $f/disable_ipv6 $f/forwarding $f/addr_gen_mode); done`;

describe(`NetworkManager ${program.version}`, { skip: missing }, () => {
  let beside: Beside;
  let daemon: ChildProcess | undefined;

  const line = (text: string): Promise<string> => typed(beside.host, text);

  const start = (): void => {
    daemon = beside.daemon(['NetworkManager', '--no-daemon']);
  };

  const restart = async (signal: NodeJS.Signals): Promise<void> => {
    const ended = daemon === undefined ? undefined : once(daemon, 'exit');
    daemon?.kill(signal);
    await ended;
    start();
  };

  /** How it looks upon all of weft's links. */
  const untilSeen = (state: RegExp): Promise<true> =>
    until(`weft’s links to be ${state}`, async () => {
      const said = await line('nmcli -t -f DEVICE,STATE device').catch(() => '');
      const ours = said.split('\n').filter(text => /^w(eft|v)/.test(text));
      return (ours.length >= 3 && ours.every(text => state.test(text))) || undefined;
    });

  before(async () => {
    beside = await startBeside(program);
    await startBus(beside);
  });

  after(async () => beside?.end());

  test('by its defaults it sees all links and touches none: started, restarted, killed', async () => {
    const { podA, podB } = beside;
    const [before, state] = [await mended(beside), await line(STATE)];
    const life = async (): Promise<void> => {
      start();
      await untilSeen(/:connected \(externally\)/);
      await restart('SIGTERM');
      await untilSeen(/:connected \(externally\)/);
      await restart('SIGKILL');
      await untilSeen(/:connected \(externally\)/);
    };
    await assertLossless(podA, podB, 3, life);
    assert.equal(await line(STATE), state);
    assert.deepEqual(await mended(beside), before);
    assert.deepEqual(await reach(beside), WHOLE);
  });

  test('a new pod’s wire is left alone too, and all of weft’s once the documented line is typed', async () => {
    const { podB, a } = beside;
    const late = await addPod(a, 'late');
    await untilSeen(/:connected \(externally\)/);
    const [facts] = hands({ status: { mended: { links: 1 } } } as unknown as NodeFacts);
    const [, text = ''] = /\(with NetworkManager: (.*)\)$/.exec(facts?.cure ?? '') ?? [];
    const before = await mended(beside);
    await assertLossless(late, podB, 3, async () => {
      await line(text);
      await untilSeen(/:unmanaged/);
      await restart('SIGTERM');
      await untilSeen(/:unmanaged/);
    });
    assert.deepEqual(await mended(beside), before);
  });
});
