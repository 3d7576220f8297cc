/** Kubernetes' own tests of networking, against a cluster that runs: what others will hold weft to. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt } from './build.ts';
import type { Cluster } from './cluster.ts';
import { letApiReachPods } from './e2e-reach.ts';
import { outcomes } from './e2e-report.ts';
import { E2E_IMAGE, ensureE2eImage, hasDig, PAUSE_IMAGE } from './images.ts';
import { inNode } from './pods.ts';
import { run } from './process.ts';

export type E2eOptions = {
  /** Regular expressions over the tests' whole names. */
  readonly focus: string;
  readonly skip: string;
  /** How many at a time; each has a namespace of its own. */
  readonly parallel: number;
  readonly log: (line: string) => void;
};

/** What the tests of Kubernetes 1.36.3 ask for, and what stands in for it: agnhost is the same program, busybox is in it, and so are dig, glibc and conntrack. */
const NAMES = [
  ['registry.k8s.io/e2e-test-images/agnhost:2.63.0', E2E_IMAGE],
  ['registry.k8s.io/e2e-test-images/busybox:1.37.0-1', E2E_IMAGE],
  ['registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0', E2E_IMAGE],
  ['registry.k8s.io/build-image/distroless-iptables:v0.9.6', E2E_IMAGE],
  ['registry.k8s.io/pause:3.10.2', PAUSE_IMAGE],
] as const;

const nameImages = async (cluster: Cluster): Promise<void> => {
  await cluster.importImage(await ensureE2eImage());
  for (const { name } of cluster.nodes)
    for (const [wanted, given] of NAMES)
      await inNode(cluster, name, ['ctr', '-n', 'k8s.io', 'images', 'tag', '--force', given, wanted]);
};

/** Tests that need an image, a cloud, the Internet or another kube-proxy than is here; and those that disturb all others. */
const NEVER = [
  '\\[Feature:(LoadBalancer|Ingress|Networking-|Example)',
  '\\[Disruptive\\]',
  '\\[Slow\\]',
  'nginx',
  'invalid conntrack state bug',
  // The nodes' kube-proxy may not set the machine's timeouts.
  'TCP CLOSE_WAIT timeout',
].join('|');

const REPORT = 'e2e.json';

/** Such tests wait for minutes until somebody answers. Policies that only name SCTP need none. */
const WITHOUT_SCTP = existsSync('/proc/net/sctp')
  ? []
  : ['Feature:SCTPConnectivity|SCTP HostPort|basic SCTP service'];

/** These need it in their image. */
const WITHOUT_DIG = hasDig() ? [] : ['\\bDNS\\b'];

/** Runs them, output passed on, and says of each what came of it. @returns the exit code; 0 when all passed */
export const runE2e = async (cluster: Cluster, options: E2eOptions): Promise<number> => {
  const [folder = ''] = await ensureBuilt(['e2e'], options.log);
  await nameImages(cluster);
  await letApiReachPods(cluster);
  const skip = [NEVER, ...WITHOUT_SCTP, ...WITHOUT_DIG, options.skip].filter(Boolean).join('|');
  const runner = [
    join(folder, 'ginkgo'),
    `--procs=${options.parallel}`,
    '--timeout=3h',
    '--no-color',
    `--focus=${options.focus}`,
    `--skip=${skip}`,
    `--output-dir=${cluster.logs}`,
    `--json-report=${REPORT}`,
    join(folder, 'e2e.test'),
    '--',
  ];
  const flags = [
    `--kubeconfig=${cluster.kubeconfig}`,
    '--provider=skeleton',
    `--kubectl-path=${join(cluster.logs, '../bin/kubectl')}`,
    `--num-nodes=${cluster.nodes.length}`,
    '--disable-log-dump',
  ];
  // The API server's address is known there.
  const argv = ['nsenter', `--net=${cluster.controlNetns}`, ...runner, ...flags];
  const report = join(cluster.logs, REPORT);
  rmSync(report, { force: true });
  const { code } = await run(argv, { inherit: true, timeoutMs: 0 });
  if (existsSync(report)) for (const line of outcomes(readFileSync(report, 'utf8'))) options.log(line);
  return code;
};
