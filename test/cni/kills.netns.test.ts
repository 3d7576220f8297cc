/**
 * Agent and binaries, killed at random moments amid verbs that run side by side, as a runtime would live through it:
 * what failed or was killed is followed by DEL. Nothing is lost or doubled. Another seed each time;
 * WEFT_SEED and WEFT_ROUNDS choose.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PORTS_TABLE } from '../../constants.ts';
import { type Lab, type Member, startLab, untilInstalled } from '../lab/lab.ts';
import { type Namespace, newPod } from '../lab/namespace.ts';
import { enterLab } from '../lab/reenter.ts';
import { type CniResult, NETWORK } from '../lab/runtime.ts';
import { until } from '../lab/wait.ts';
import { disagreements, traces } from './leftovers.ts';

await enterLab(import.meta.filename);

const SEED = Number(process.env.WEFT_SEED ?? Date.now() % 1_000_000);
const ROUNDS = Number(process.env.WEFT_ROUNDS ?? 12);
const SLOTS = 10;
const AT_ONCE = 4;

let lab: Lab;
let node: Member;
let namespaces: readonly Namespace[];
let untouched: readonly string[];

before(async () => {
  lab = await startLab();
  node = await lab.join(1);
  await untilInstalled(node);
  namespaces = await Promise.all(Array.from({ length: SLOTS }, () => newPod(node.namespace)));
  // The bridge has its link-local address from its first port on.
  await start('ADD', 0).ended;
  await del(0);
  await verify();
  await until('the table of its port to be gone', tableGone, 40_000, 200);
  untouched = await everything();
});

/** It goes with the next look after the last pod that had a port. */
const tableGone = async (): Promise<true | undefined> =>
  !(await node.namespace.run(['nft', 'list', 'tables'])).includes(PORTS_TABLE) || undefined;

after(async () => lab?.end());

let state = SEED;
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

/** Links, addresses, routes and rules of the node and of its pods, without what counts or ages. */
async function everything(): Promise<readonly string[]> {
  const look =
    'ip -o link | cut -d" " -f2; ip -br addr; ip rule; ip -6 rule; ip route; ip -6 route; nft -s list tables';
  const at = await Promise.all([node.namespace, ...namespaces].map(n => n.run(['sh', '-c', look])));
  return at.flatMap((text, n) =>
    text.split('\n').map(line => `${n} ${line.replace(/ (?:metric|expires|linkdown)\b.*/, '').trim()}`),
  );
}

type Call = { readonly child: ChildProcess; readonly ended: Promise<CniResult | undefined> };

/** What pods ask for: every third a port of the node, every fourth a limit. */
const wishes = (slot: number): object => ({
  ...(slot % 3 === 0 && {
    portMappings: [{ hostPort: 8000 + slot, containerPort: 80, protocol: slot % 2 === 0 ? 'tcp' : 'udp' }],
  }),
  ...(slot % 4 === 0 && { bandwidth: { ingressRate: 40_000_000, egressRate: 8_000_000 } }),
});

/** The binary alone, so that it can be killed. Resolves to its result; to undefined where it was killed or failed. */
function start(command: string, slot: number): Call {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: `slot${slot}`.padEnd(64, '0'),
    CNI_NETNS: namespaces[slot]?.netns ?? '',
    CNI_IFNAME: 'eth0',
    CNI_PATH: node.binDir,
  };
  const child = node.namespace.start([`${node.binDir}/weft-cni`], { env, stdio: 'pipe' });
  let stdout = '';
  child.stdout?.on('data', chunk => {
    stdout += chunk;
  });
  child.stdin?.on('error', () => {});
  child.stdin?.end(JSON.stringify({ ...NETWORK, runtimeConfig: wishes(slot) }));
  const ended = new Promise<CniResult | undefined>(resolve =>
    child.once('close', code =>
      resolve(code === 0 ? (JSON.parse(stdout || '{"ips":[]}') as CniResult) : undefined),
    ),
  );
  return { child, ended };
}

const living = new Map<number, CniResult>();

/** Until it succeeds, as runtimes do. */
async function del(slot: number): Promise<void> {
  await until('DEL to succeed', async () => ((await start('DEL', slot).ended) ? true : undefined), 60_000);
  living.delete(slot);
}

async function settle(slot: number, verb: string, result: CniResult | undefined): Promise<void> {
  if (verb === 'ADD' && result !== undefined) living.set(slot, result);
  else if (verb === 'ADD' || result === undefined) await del(slot);
  else living.delete(slot);
}

async function round(): Promise<void> {
  const slots = [...Array(SLOTS).keys()].sort(() => random(2) - 0.5).slice(0, AT_ONCE);
  const calls = slots.map(slot => {
    const verb = living.has(slot) ? 'DEL' : 'ADD';
    return { slot, verb, ...start(verb, slot) };
  });
  await sleep(random(45));
  const agentToo = random(2) === 0;
  if (agentToo) node.agent()?.kill('SIGKILL');
  for (const { child } of calls) if (random(agentToo ? 4 : 2) === 0) child.kill('SIGKILL');
  if (agentToo) {
    await node.stop('SIGKILL');
    node.start();
  }
  await Promise.all(calls.map(async ({ slot, verb, ended }) => settle(slot, verb, await ended)));
}

/** The agent is given a moment: what follows an answer, and its next look. */
async function verify(): Promise<void> {
  await until('the agent to be ready', async () => (await node.status())?.ready || undefined, 30_000);
  let last: readonly string[] = [];
  const agree = async () => {
    const now = await traces(node.namespace);
    last = disagreements(now);
    if (now.leases.length !== living.size)
      last = [...last, `${now.leases.length} leases instead of ${living.size}`];
    return last.length === 0 || undefined;
  };
  await until('kernel, leases and the runtime to agree', agree, 30_000, 200).catch(error =>
    assert.fail(`${error.message}: ${last.join('; ')}`),
  );
  const addresses = [...living.values()].flatMap(({ ips }) => ips.map(({ address }) => address));
  assert.equal(new Set(addresses).size, living.size * 2);
  for (const address of addresses)
    await node.namespace.run(['ping', '-n', '-c1', '-W2', address.split('/')[0] as string]);
}

test(`${ROUNDS} rounds of kills at random moments: nothing is lost or doubled`, async t => {
  t.diagnostic(`WEFT_SEED=${SEED}`);
  for (let n = 1; n <= ROUNDS; n += 1) {
    await round();
    if (n % 4 === 0) await verify();
  }
  await Promise.all([...living.keys()].map(del));
  await verify();
  let odd: readonly string[] = [];
  const asBefore = async () => {
    const now = await everything();
    const missing = untouched.filter(line => !now.includes(line));
    odd = [...now.filter(line => !untouched.includes(line)), ...missing.map(line => `missing: ${line}`)];
    return odd.length === 0 || undefined;
  };
  await until('the node to be as before', asBefore, 40_000).catch(() => assert.deepEqual(odd, []));
});
