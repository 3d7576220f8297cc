/** Looks at this host again and again, beside the passes: other people's firewalls are mended, the rest is only told. */
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { openSaid } from '../agent/said.ts';
import type { Config } from '../config.ts';
import type { Outcome } from '../mesh/reconcile.ts';
import type { Firewalls } from '../platform/linux/firewall.ts';
import { udpHolder } from '../platform/linux/holder.ts';
import type { Kernel } from '../platform/linux/types.ts';
import type { Cidr } from '../types.ts';
import { ensureForward, type FirewallLook, readFirewalld } from './ensure.ts';
import { findings } from './findings.ts';
import type { Finding, HostFacts, PortFact } from './types.ts';

export type HostWatch = {
  /** For people: what the last look found, worst first, and how many looks there were. */
  readonly report: () => { readonly findings: readonly Finding[]; readonly looks: number };
  /** Something changed: look as soon as may be. */
  readonly mark: () => void;
  /** A pass is over: our networks may have changed, and the tunnel's port may have been refused. */
  readonly passed: (outcome: Outcome | undefined) => void;
  readonly stop: () => Promise<void>;
};

export type HostWatchOptions = {
  readonly kernel: Kernel;
  readonly firewalls: Firewalls;
  readonly config: Config;
  /** For the Node's Events: what cuts pods off. The same sentence again costs nothing. */
  readonly event: (sentence: string) => void;
  readonly log: Log;
};

const MIN_LOOK_MS = 1_000;
const MAX_LOOK_MS = 30_000;
/** iptables-legacy tells nobody of its changes. */
const LEGACY_LOOK_MS = 5_000;
/** Beside very large tables of others a look takes long: then it is a twentieth of the time at most, else a fifth. */
const LONG_MS = 100;
const restAfter = (took: number): number => took * (took > LONG_MS ? 20 : 5);

function heldPort(port: number): PortFact | undefined {
  const holder = udpHolder(port);
  return holder === undefined ? undefined : { port, holder };
}

/** What a pass tells of the host. `portWanted`: our device has not got the port, or has not asked for it yet. */
type PassFacts = { readonly clusterCidrs: readonly Cidr[]; readonly portWanted: boolean };

const portWanted = ({ errors, plan }: Outcome): boolean =>
  errors.some(error => error.message.includes('Address already in use')) ||
  plan.excluded.some(({ kind }) => kind === 'occupied');

const passFacts = (outcome: Outcome | undefined): PassFacts => ({
  clusterCidrs: outcome?.plan.clusterCidrs ?? [],
  portWanted: outcome !== undefined && portWanted(outcome),
});

async function readFacts(
  options: HostWatchOptions,
  look: FirewallLook,
  { clusterCidrs, portWanted: wanted }: PassFacts,
): Promise<HostFacts> {
  const { kernel, firewalls, config } = options;
  return {
    ...look,
    firewalld: await readFirewalld(firewalls, look, clusterCidrs, config.listenPort),
    links: (await kernel.links.list()).map(link => link.name),
    port: wanted ? heldPort(config.listenPort) : undefined,
    listenPort: config.listenPort,
    clusterCidrs,
  };
}

const sentence = ({ what, cure }: Finding): string => (cure === undefined ? what : `${what}. Cure: ${cure}`);

export function startHostWatch(options: HostWatchOptions): HostWatch {
  const said = openSaid(options.log);
  let found: readonly Finding[] = [];
  let notBefore = 0;
  let looks = 0;
  let pass = passFacts(undefined);

  const look = async (): Promise<number | undefined> => {
    const began = performance.now();
    if (began < notBefore) return notBefore - began;
    const firewall = await ensureForward(options.firewalls);
    found = findings(await readFacts(options, firewall, pass));
    said.say(new Map(found.filter(f => f.severity !== 'info').map(f => [f.id, sentence(f)])));
    for (const finding of found.filter(f => f.severity === 'error')) options.event(sentence(finding));
    looks += 1;
    const took = performance.now() - began;
    notBefore = began + restAfter(took);
    return firewall.legacy ? LEGACY_LOOK_MS : undefined;
  };

  const runner = startRunner({
    run: look,
    onError: error =>
      options.log.warn({ error: String(error) }, 'this host could not be looked at; trying again'),
    minMs: MIN_LOOK_MS,
    maxMs: MAX_LOOK_MS,
    retryMs: MIN_LOOK_MS,
  });
  runner.mark();
  const passed = (outcome: Outcome | undefined): void => {
    const before = pass;
    pass = passFacts(outcome);
    if (before.portWanted !== pass.portWanted) runner.mark();
  };
  return { passed, report: () => ({ findings: found, looks }), mark: runner.mark, stop: runner.stop };
}
