/** Restarts, kills and wrong annotations under pings of a hundred a second. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { annotations } from '../../../discovery/annotations.ts';
import { underPings } from '../pings.ts';
import { inNode, inPodNetns, makePods, processOf } from '../pods.ts';
import { sleep, until } from '../process.ts';
import {
  agentProcess,
  agentStatus,
  killAgent,
  podOf,
  readiness,
  untilMeshed,
  untilRolledOut,
} from './agent.ts';
import { lossless, type Told } from './lossless.ts';
import { ASK, url, type World } from './world.ts';

/** The same between all nodes, none of which may stop being Ready. */
const invisible = async (world: World, t: Told, work: (attempt: number) => Promise<void>): Promise<void> => {
  const { cluster, first, second, third } = world;
  const since = await readiness(cluster);
  await lossless(world, [[first, second] as const, [third, first] as const], t, work);
  assert.deepEqual(await readiness(cluster), since);
};

export const trouble = (world: () => World): void => {
  it('loses nothing while the agents are restarted by kubectl rollout restart', async t => {
    const { cluster, must } = world();
    await invisible(world(), t, async () => {
      await must(['-n', 'weft', 'rollout', 'restart', 'daemonset/weft']);
      await untilRolledOut(cluster);
      await untilMeshed(cluster);
    });
  });

  it('loses nothing when an agent is killed, and wires the pod that starts just then', async t => {
    const { cluster, second, inPod } = world();
    await invisible(world(), t, async attempt => {
      await killAgent(cluster, 'node1', await agentProcess(cluster, 'node1'));
      const name = `late${attempt}`;
      const [late] = await makePods(cluster, { [name]: 'node1' });
      for (const ip of second.ips)
        assert.equal(await inPod(name, [...ASK, url(ip, 8080, 'hostname')]), second.name);
      assert.equal(late?.ips.length, 2);
      await untilMeshed(cluster);
    });
  });

  it('loses nothing when the API server is killed, and an agent too while it is away', async t => {
    const { cluster } = world();
    await invisible(world(), t, async () => {
      const pid = await agentProcess(cluster, 'node1');
      await cluster.killApi();
      await killAgent(cluster, 'node1', pid);
      const serves = async () => {
        const { ready, api, peers } = await agentStatus(cluster, 'node1');
        return ready && !api.connected && peers.length === 2;
      };
      await until('an agent that serves from its disk', 40_000, serves);
      await sleep(1000);
      await cluster.startApi();
      await untilMeshed(cluster, 60_000);
    });
  });

  it('says which annotation is broken, and breaks nothing by it', async t => {
    const { cluster, first, second, third, must, inPod } = world();
    const broken = Object.values(annotations);
    const say = async (): Promise<string> =>
      must([
        'get',
        'events',
        '--field-selector=reason=InvalidAnnotation',
        '-o',
        'jsonpath={.items[*].message}',
      ]);
    const work = async (): Promise<void> => {
      for (const { name } of broken) {
        await must(['annotate', '--overwrite', 'node', 'node2', `${name}=<no value>`]);
        await until(`an Event about ${name}`, 15_000, async () =>
          (await say()).includes(`${name}="<no value>"`),
        );
      }
    };
    await lossless(world(), [[third, first]], t, work);
    for (const { name } of broken.filter(({ writer }) => writer === 'user'))
      await must(['annotate', 'node', 'node2', `${name}-`]);
    await untilMeshed(cluster);
    const values = await must(['get', 'node', 'node2', '-o', 'jsonpath={.metadata.annotations}']);
    assert.ok(!values.includes('<no value>'), 'what the agent writes is put right by it');
    for (const ip of second.ips)
      assert.equal(await inPod(first.name, [...ASK, url(ip, 8080, 'hostname')]), second.name);
  });

  it('has its tunnels back when wireguard-go is killed, and killed again', async t => {
    const { cluster, first, second, third } = world();
    const pod = await podOf(cluster, 'weft-wireguard', 'node2');
    const { pid } = await processOf(cluster, ['-n', 'weft', pod]);
    const engine = () => inNode(cluster, 'node2', ['cat', `/proc/${pid}/task/${pid}/children`]);
    const losses = await underPings(
      cluster,
      [
        [second, first],
        [second, third],
      ],
      async () => {
        for (const _ of ['first', 'second']) {
          const old = await engine();
          await inNode(cluster, 'node2', ['kill', '-9', old]);
          await until('another wireguard-go', 10_000, async () => ![old, ''].includes(await engine()));
          for (const ip of [...first.ips, ...third.ips])
            await until(`${ip} reached`, 20_000, async () => {
              const ping = inPodNetns(second, ['ping', '-c1', '-W1', ip]);
              return (await cluster.exec('node2', ping)).code === 0;
            });
        }
      },
    );
    t.diagnostic(losses.map(({ path, sent, lost }) => `${path}: ${lost} of ${sent} lost`).join('; '));
    assert.ok(losses.every(({ sent, lost }) => lost < sent));
  });
};
