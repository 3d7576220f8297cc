/** weft under a runtime's clients: sandboxes that no kubelet made, and all that can become of them. */
import assert from 'node:assert/strict';
import { BlockList, isIPv6 } from 'node:net';
import { before, describe, it } from 'node:test';
import { CONFLIST } from '../../../constants.ts';
import { ensureBuilt } from '../build.ts';
import { AGNHOST_IMAGE } from '../images.ts';
import { withoutKubelet } from '../kubelet.ts';
import { clusterUnavailable } from '../packages.ts';
import { inNode, pingFrom } from '../pods.ts';
import { sleep, until } from '../process.ts';
import { agentProcess, killAgent, podOf, untilMeshed } from './agent.ts';
import { type Crictl, crictlOn, type Sandbox } from './crictl.ts';
import { lossless } from './lossless.ts';
import { ASK, url, type World } from './world.ts';

const NODE = 'node3';
const PORT = 8099;
const MANY = 32;
const QUIET_MS = 45_000;

const SERVER = {
  metadata: { name: 'server' },
  image: { image: AGNHOST_IMAGE },
  args: ['netexec', '--http-port=8080'],
};

const ASKED = {
  hostname: 'asked',
  dns_config: { servers: ['10.43.0.10'], searches: ['cri.example'] },
  port_mappings: [{ container_port: 8080, host_port: PORT }],
  linux: { sysctls: { 'net.ipv4.tcp_keepalive_time': '77' } },
};

/**
 * All that weft has of pods on a node; of nftables the words, since sets are in no order. Not the set of strangers, where the
 * kernel has for ten minutes who sent something while it was taken away.
 */
const TRACES = `find /run/weft/pods /run/weft/del -type f | sort; ls /sys/class/net | grep ^w; ip route; ip -6 route
ip neigh show nud permanent; ip -6 neigh show nud permanent; tc qdisc show | grep tbf
for what in 'set bridge weft '{port,pod4,pod6} 'table inet weft'{,-ports,-policy}; do
  nft -s list $what | tr -s ' \\t,' '\\n' | sort; done`;

const NAMESPACES = 'ls /run/netns';

const inCidrs = (cidrs: readonly string[], ip: string): boolean => {
  const family = isIPv6(ip) ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  for (const cidr of cidrs) {
    const [net = '', bits] = cidr.split('/');
    list.addSubnet(net, Number(bits), isIPv6(net) ? 'ipv6' : 'ipv4');
  }
  return list.check(ip, family);
};

const dropNetns = ({ netns }: Sandbox): string => `umount -l ${netns}; rm ${netns}`;

export const cri = (world: () => World): void => {
  describe('under crictl', { skip: clusterUnavailable(['crictl']) ?? false }, () => {
    let crictl: Crictl;

    before(async () => {
      await ensureBuilt(['crictl']);
      crictl = crictlOn(world().cluster, NODE);
    });

    const shell = (script: string) => inNode(world().cluster, NODE, ['bash', '--norc', '-c', script]);
    const removeAll = async () => {
      const ids = await crictl.list();
      if (ids.length > 0) await crictl.must(['rmp', '--force', ...ids]);
    };

    const untilAsBefore = async (look: string, before: string) => {
      const clean = async () => (await shell(look)) === before;
      await until('nothing to be left', 15_000, clean).catch(async error => {
        const were = new Set(before.split('\n'));
        const left = (await shell(look)).split('\n').filter(line => !were.has(line));
        throw new Error(`${error.message}: ${left.join('\n')}`);
      });
    };

    /** Work without the kubelet that leaves nothing behind. `look` prints what is there. */
    const leavingNothing = async (work: () => Promise<void>, look = `${TRACES}; ${NAMESPACES}`) => {
      const before = await shell(look);
      const took = await withoutKubelet(world().cluster, NODE, async () => {
        try {
          await work();
        } finally {
          await removeAll();
        }
        await untilAsBefore(look, before);
      });
      // No pod is evicted for five minutes, but the next test wants its nodes.
      if (took > QUIET_MS) await world().cluster.nodesReady(60_000);
    };

    /** Its server answers `ctr` a moment before it serves the CRI. */
    const restartRuntime = async () => {
      await world().cluster.restartRuntime(NODE);
      await until('the CRI', 30_000, async () => (await crictl.call(['pods'])).code === 0);
    };

    /** A pod anew, since the one that was killed often rests ever longer. */
    const newAgent = async () => {
      const { cluster, must } = world();
      await must(['-n', 'weft', 'delete', 'pod', await podOf(cluster, 'weft', NODE), '--force']);
      await until('the next agent', 60_000, () => agentProcess(cluster, NODE));
      // The one before may still hold the port when the next one starts, which then rests for 10 s, 20 s, 40 s.
      await untilMeshed(cluster, 180_000);
    };

    const reach = async (from: string, { ips }: Sandbox) => {
      for (const ip of ips) await pingFrom(world().cluster, from, ip);
    };

    it('gives a sandbox addresses of its node, its hostPort, names and sysctls, until it is stopped', () =>
      leavingNothing(async () => {
        const { cluster, first, inPod, list, outside } = world();
        const sandbox = await crictl.run('asked', ASKED);
        const cidrs = await list('node', NODE, '{.spec.podCIDRs[*]}');
        assert.equal(sandbox.ips.length, 2);
        for (const ip of sandbox.ips) assert.ok(inCidrs(cidrs, ip), `${ip} of ${cidrs.join()}`);
        const container = await crictl.start(sandbox, SERVER);
        const exec = (...argv: string[]) => crictl.must(['exec', container, ...argv]);
        const node = cluster.nodes.find(({ name }) => name === NODE);
        const byPort = async (ip = '') => (await outside([...ASK, url(ip, PORT, 'hostname')])).stdout.trim();
        await until('its server', 10_000, async () => (await byPort(node?.ipv4)) === 'asked');
        assert.equal(await byPort(node?.ipv6), 'asked');
        for (const ip of sandbox.ips)
          assert.equal(await inPod(first.name, [...ASK, url(ip, 8080, 'hostname')]), 'asked');
        assert.match(await exec('cat', '/etc/resolv.conf'), /search cri.example\nnameserver 10.43.0.10/);
        assert.match(await exec('sysctl', 'net.ipv4.tcp_keepalive_time'), /= 77$/);
        await crictl.must(['stopp', sandbox.id]);
        assert.doesNotMatch(await byPort(node?.ipv4), /asked/);
        await crictl.must(['stopp', sandbox.id]);
        await crictl.must(['rmp', sandbox.id]);
        // The CRI wants no error of a sandbox that is gone.
        await crictl.must(['stopp', sandbox.id]);
      }));

    it('frees a sandbox that is removed while it runs, and those whose namespace somebody took away', () =>
      leavingNothing(async () => {
        const running = await crictl.run('running');
        assert.notEqual((await crictl.call(['rmp', running.id])).code, 0);
        await crictl.must(['rmp', '--force', running.id]);
        const unnamed = await crictl.run('unnamed');
        await shell(dropNetns(unnamed));
        await crictl.must(['stopp', unnamed.id]);
        const dead = await crictl.run('dead');
        await shell(`${dropNetns(dead)}; kill -9 ${dead.pid}`);
        await crictl.must(['rmp', '--force', dead.id]);
      }));

    it('says that the agent is away, leaves no sandbox, and wires it when the agent is back', async () => {
      const { cluster } = world();
      const before = await shell(TRACES);
      try {
        await leavingNothing(async () => {
          const stopped = await crictl.run('stopped');
          const pid = await agentProcess(cluster, NODE);
          await killAgent(cluster, NODE, pid);
          await reach('node1', stopped);
          const [refused] = await Promise.all([
            crictl.tryRun('refused'),
            crictl.must(['stopp', stopped.id]).then(() => crictl.must(['rmp', stopped.id])),
          ]);
          assert.notEqual(refused.code, 0);
          assert.match(
            refused.stderr,
            /the weft agent is not there: try again later.*kubectl -n weft get pods/,
          );
          assert.deepEqual(await crictl.list(), []);
        }, NAMESPACES);
      } finally {
        await newAgent();
      }
      await leavingNothing(async () => reach('node1', await crictl.run('refused')));
      await untilAsBefore(TRACES, before);
    });

    it('keeps addresses and traffic of sandboxes while containerd is killed, and frees them after it', t =>
      leavingNothing(async () => {
        const { first } = world();
        const sandbox = await crictl.run('outlives');
        await lossless(world(), [[first, sandbox]], t, async () => {
          await restartRuntime();
          await sleep(1000);
        });
        assert.deepEqual(await crictl.inspect(sandbox.id), sandbox);
        const next = await crictl.run('next');
        assert.equal(new Set([...sandbox.ips, ...next.ips]).size, 4);
        await reach('node1', next);
        await crictl.must(['stopp', sandbox.id, next.id]);
      }));

    it('frees what containerd had in hand when it was killed', t =>
      leavingNothing(async () => {
        const names = Array.from({ length: MANY }, (_, n) => `in-hand-${n}`);
        const all = Promise.all(names.map(name => crictl.tryRun(name)));
        await until(
          'some to be wired',
          10_000,
          () => shell('ls /run/weft/pods | grep -c . -m6 | grep 6'),
          20,
        );
        await restartRuntime();
        const failed = (await all).filter(({ code }) => code !== 0).length;
        t.diagnostic(`${failed} of ${MANY} did not come to be`);
        assert.ok(failed > 0);
        // containerd forgets files of namespaces that it was about to use: no pod's, and not weft's.
      }, TRACES));

    it('is served again at once when somebody removes or spoils its configuration', () =>
      leavingNothing(async () => {
        const path = `/etc/cni/net.d/${CONFLIST}`;
        const loaded = async () =>
          (await shell(`cat ${path}`)).includes('weft-cni') &&
          /"lastCNILoadStatus": "OK"/.test(await crictl.must(['info']));
        for (const [n, deed] of ['rm', 'truncate -s 0'].entries()) {
          await shell(`${deed} ${path}`);
          await until('the configuration to be there and loaded', 10_000, loaded);
          await reach('node1', await crictl.run(`reloaded-${n}`));
        }
      }));

    it(`makes ${MANY} sandboxes at once, and removes them all at once`, t =>
      leavingNothing(async () => {
        const names = Array.from({ length: MANY }, (_, n) => `many-${n}`);
        const from = Date.now();
        const made = await Promise.all(names.map(name => crictl.run(name)));
        t.diagnostic(`${MANY} made and inspected in ${Date.now() - from} ms`);
        assert.equal(new Set(made.flatMap(({ ips }) => ips)).size, 2 * MANY);
        for (const sandbox of [made[0], made.at(-1)]) await reach('node1', sandbox as Sandbox);
        await Promise.all(made.map(({ id }) => crictl.must(['rmp', '--force', id])));
      }));
  });
};
