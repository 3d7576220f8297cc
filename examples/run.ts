/** How an example runs: in namespaces of its own on one machine, with real agents, its lines on stdout. */
import { type Lab, type Member, startLab } from '../test/lab/lab.ts';
import { untilAnswers } from '../test/lab/reach.ts';
import { inside, labUnavailable, reenter } from '../test/lab/reenter.ts';
import { addPod, type Pod } from '../test/lab/runtime.ts';

export type Example = {
  readonly lab: Lab;
  /** A line for people; the same at each run. */
  readonly say: (line: string) => void;
};

export type Placed = { readonly member: Member; readonly pod: Pod };

/** Runs `story` and sets the exit status. `file` is the example's own. */
export async function runExample(file: string, story: (example: Example) => Promise<void>): Promise<void> {
  const reason = labUnavailable();
  if (reason !== undefined) throw new Error(`this example cannot run here: ${reason}`);
  if (!inside()) {
    process.exitCode = await reenter([process.execPath, file]);
    return;
  }
  const lab = await startLab();
  try {
    await story({ lab, say: line => void process.stdout.write(`${line}\n`) });
  } finally {
    await lab.end();
  }
}

/** A pod on each node, named after its node's number. */
export const podOnEach = (members: readonly Member[]): Promise<readonly Placed[]> =>
  Promise.all(members.map(async member => ({ member, pod: await addPod(member, `pod${member.number}`) })));

/** Until every pod has an answer from every other one, over IPv4 and IPv6. Rejects with who has none. */
export async function untilAllReach(placed: readonly Placed[]): Promise<number> {
  const pairs = placed.flatMap(from => placed.filter(to => to !== from).map(to => ({ from, to })));
  const addresses = pairs.flatMap(({ from, to }) =>
    [to.pod.v4, to.pod.v6].flatMap(address => (address ? [{ from: from.pod, address }] : [])),
  );
  await Promise.all(addresses.map(({ from, address }) => untilAnswers(from, address, 20_000)));
  return addresses.length;
}

/** Of each node's peers: `node1 → node2: established at 10.0.0.2:51820`. */
export async function paths(members: readonly Member[]): Promise<readonly string[]> {
  const lines = await Promise.all(
    members.map(async member =>
      ((await member.status())?.peers ?? []).map(
        peer => `  ${member.name} → ${peer.node}: ${peer.state} at ${peer.endpoint ?? 'no address'}`,
      ),
    ),
  );
  return lines.flat().sort();
}
