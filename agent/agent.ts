/** One node's agent, running: rooms opened in order, one loop, closed in reverse. */
import { mkdirSync } from 'node:fs';
import { CniError, CODES } from '../cni/errors.ts';
import { startCni } from '../cni/server.ts';
import type { Config } from '../config.ts';
import {
  CNI_SOCKET,
  COOLING_FILE,
  DEL_QUEUE_DIR,
  LEASE_DIR,
  READY_MARKER,
  RUN_DIR,
  STATE_DIR,
  STATUS_SOCKET,
  SYSCTL_RECORD,
  WG_LINK,
} from '../constants.ts';
import { openClient } from '../discovery/client.ts';
import { startDiscovery } from '../discovery/discovery.ts';
import { startHostWatch } from '../host/watch.ts';
import { openProbes } from '../mesh/probe.ts';
import { openMesh } from '../mesh/reconcile.ts';
import { openMetrics } from '../metrics/registry.ts';
import { forgetAddresses } from '../platform/linux/conntrack.ts';
import { openFirewalls } from '../platform/linux/firewall.ts';
import { openKernel } from '../platform/linux/kernel.ts';
import { askPath } from '../platform/linux/pathprobe.ts';
import { openRunner } from '../platform/linux/runner.ts';
import { diagnose } from './doctor.ts';
import { serveTcp, serveUnix } from './http.ts';
import { openIdentity } from './identity.ts';
import { openInstallation } from './installation.ts';
import type { Log } from './log.ts';
import { startLookout } from './lookout.ts';
import { openMemos } from './memos.ts';
import { MAX_PASS_MS, newPass } from './pass.ts';
import { openPaths } from './paths.ts';
import { type AgentPolicy, openPolicy } from './policy.ts';
import { startProber } from './prober.ts';
import { recordCni, recordPolicy, timed } from './recording.ts';
import { healthRoutes, statusReport, statusRoutes } from './report.ts';
import { openLater, startRunner } from './runner.ts';
import { openScraper } from './scrape.ts';
import { shimPath } from './shim.ts';
import { sayChange } from './statechange.ts';
import { openSweeping } from './sweeping.ts';

export type AgentOptions = {
  readonly config: Config;
  /** The file that they came from. */
  readonly configPath: string;
  readonly nodeName: string;
  readonly kubeconfig: string | undefined;
  readonly log: Log;
};

/** Passes come at least so far apart; the runner adds what a long one needs. */
const MIN_PASS_MS = 30;
const RETRY_MS = 500;

/** News of the kernel are mostly our own doing; a foreign hand's work is mended well within two seconds. */
const KERNEL_NEWS_MS = 400;

/** News of pods while the runtime's calls come in are almost surely of those: one look for many of them. */
const POD_NEWS_MS = 1_000;

const stopSignal = (): Promise<string> =>
  new Promise(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });

const tryLater = (error: unknown): never => {
  throw new CniError(CODES.tryLater, error instanceof Error ? error.message : String(error));
};

/** Resolves with the exit status after SIGTERM or SIGINT. The data path stays as it is. */
export async function runAgent({
  config,
  configPath,
  nodeName,
  kubeconfig,
  log,
}: AgentOptions): Promise<number> {
  mkdirSync(RUN_DIR, { recursive: true, mode: 0o700 });
  const startedAt = performance.now();
  const metrics = openMetrics();
  const identity = openIdentity(STATE_DIR, nodeName);
  const stopRunner = openRunner(shimPath());
  const kernel = openKernel({
    monitor: shimPath(),
    sysctlRecord: SYSCTL_RECORD,
    trouble: message => log.warn({ message }, 'the kernel tells no news for a second'),
  });
  const memos = openMemos(`${RUN_DIR}/tables.json`);
  const client = await openClient({ kubeconfig, apiServer: config.apiServer });
  const record = recordCni(metrics);
  let servedAt = Number.NEGATIVE_INFINITY;
  let mark = (): void => {};
  let policy: AgentPolicy | undefined;
  const discovery = await startDiscovery({
    client,
    nodeName,
    stateDir: STATE_DIR,
    log,
    onChange: () => {
      mark();
      policy?.mark();
    },
  });
  const remembered = discovery.facts();
  const cni = await startCni({
    kernel,
    memos,
    log,
    socketPath: CNI_SOCKET,
    leaseDir: LEASE_DIR,
    delQueueDir: DEL_QUEUE_DIR,
    coolingFile: COOLING_FILE,
    readyMarker: READY_MARKER,
    failed: (_verb, error) => {
      if (error.code === CODES.exhausted) discovery.event('PodCidrFull', error.message);
    },
    served: (verb, ms, code) => {
      record(verb, ms, code);
      if (verb === 'ADD' || verb === 'DEL') servedAt = performance.now();
    },
    beforeWire: async lease => policy === undefined || (await policy.guard(lease).catch(tryLater)),
    beforeAnswer: async lease => policy?.admit(lease).catch(tryLater),
    mended: (kind, count) => pass.noteMended({ [kind]: count }),
    parted: () => policy?.mark(),
    released: ips => {
      void forgetAddresses(kernel.flows, ips).catch(error =>
        log.debug({ error: String(error) }, 'conntrack'),
      );
    },
  });
  policy = await openPolicy({
    config,
    nodeName,
    kernel,
    memos,
    client,
    discovery,
    cni,
    timed: recordPolicy(metrics),
    log,
  });
  const prober = startProber({
    open: onHeard => openProbes(() => performance.now(), onHeard),
    dump: () => kernel.wg.dump(WG_LINK),
    onChange: change => {
      sayChange(log, change);
      // It is given another endpoint where there is one, and its name is looked up again. Those that never were reached can wait.
      if (change.before.state === 'established') mark();
    },
  });
  const paths = openPaths({
    kernel,
    probes: prober,
    measures: prober.measures,
    passes: question => askPath(shimPath(), question),
    onChange: () => mark(),
    log,
  });
  const mesh = openMesh({ kernel, memos, now: Date.now, remembered });
  const installation = openInstallation(config, log);
  const sweeping = openSweeping(cni.sweep, MAX_PASS_MS);
  const pass = newPass({
    config,
    nodeName,
    identity,
    kernel,
    client,
    discovery,
    cni,
    mesh,
    prober,
    paths,
    installation,
    sweeping,
    mark: () => mark(),
    log,
    startedAt,
  });
  const host = startHostWatch({
    kernel,
    firewalls: openFirewalls(),
    event: sentence => discovery.event('WeftTrouble', sentence),
    config,
    log,
  });
  const whole = (): Promise<number | undefined> =>
    timed(metrics, pass.run, pass.report.outcome)().finally(() => host.passed(pass.report.outcome()));
  const runner = startRunner({
    run: () => (pass.due() ? whole() : pass.look()),
    onError: error =>
      log.warn(
        { error: error instanceof Error ? error.message : String(error) },
        'this pass was not whole; trying again',
      ),
    minMs: MIN_PASS_MS,
    maxMs: MAX_PASS_MS,
    retryMs: RETRY_MS,
  });
  mark = () => {
    pass.news();
    runner.mark();
  };
  const later = openLater(runner.mark, KERNEL_NEWS_MS);
  const muchLater = openLater(runner.mark, POD_NEWS_MS);
  const unwatch = kernel.watch(
    ['link', 'address', 'route', 'wire', 'nft', 'policy', 'fence', 'filter'],
    kind => {
      if (kind === 'policy') return policy.suspect();
      if (kind === 'filter' || kind === 'link') host.mark();
      // Other people's tables are nothing to a pass, and kube-proxy writes its own all the time.
      if (kind === 'filter') return;
      if (kind !== 'wire' && kind !== 'fence') pass.news(kind === 'nft' ? 'rules' : undefined);
      sweeping.mark(kind === 'fence' ? 'tables' : 'wires');
      const ours = kind === 'wire' && performance.now() - servedAt < POD_NEWS_MS;
      (ours ? muchLater : later).mark();
    },
  );
  const lookout = startLookout({
    kernel,
    plan: () => pass.report.outcome()?.plan,
    untouched: installation.untouched,
    mark: () => mark(),
  });
  const sources = {
    nodeName,
    discovery,
    cni,
    kernel,
    prober,
    installed: installation.reason,
    configs: installation.others,
    host: host.report,
    rotateKey: pass.rotateKey,
    policy: policy.report,
    judge: policy.judge,
    ...pass.report,
  };
  const scraper = openScraper({
    metrics,
    config,
    kernel,
    status: () => statusReport(sources),
    stuckFor: pass.report.stuckFor,
  });
  const doctor = () =>
    diagnose({ config, configPath, kernel, client, nodeName, status: () => statusReport(sources) });
  // Pods do not wait for the health port, which an agent that was replaced by force may hold for a while.
  runner.mark();
  const servers = [
    await serveUnix(statusRoutes(sources, scraper.scrape, doctor), STATUS_SOCKET),
    await serveTcp(healthRoutes(sources, scraper.scrape), config.healthAddress, config.healthPort),
  ];

  const signal = await stopSignal();
  log.info({ signal }, 'stopping; tunnels, routes and pods stay as they are');
  unwatch();
  later.cancel();
  muchLater.cancel();
  lookout.stop();
  await host.stop();
  for (const server of servers) server.close();
  scraper.close();
  await runner.stop();
  const served = cni.close();
  await policy.close();
  await served;
  paths.stop();
  prober.stop();
  await discovery.close();
  client.close();
  await kernel.close();
  stopRunner();
  return 0;
}
