/** npm run cluster -- up | down | kubectl … | exec NODE … | import FILE… | e2e FOCUS | critest FOCUS | logs PROGRAM: see README.md. */
import { parseArgs } from 'node:util';
import { type Cluster, openCluster, startCluster } from './cluster.ts';
import { runCritest } from './critest.ts';
import { logTail } from './daemons.ts';
import { runE2e } from './e2e.ts';
import { DEFAULT_NAME, layout } from './layout.ts';
import { clusterUnavailable } from './packages.ts';
import { orphans, tearDown } from './teardown.ts';

const USAGE = `usage: npm run cluster -- COMMAND

  up [--nodes N] [--image FILE]… [--manifest FILE]… [--cni none|bridge|flannel]
     [--proxy-mode nftables|iptables] [--dns] [--wait] [--keep]
  down                 end and remove everything
  kubectl ARGS…        kubectl as the administrator
  exec NODE ARGV…      run a program inside a node
  import FILE…         import OCI archives on every node
  e2e FOCUS [--skip REGEXP] [--parallel N]
                       Kubernetes' own tests of networking whose names match, such as Netpol
  critest FOCUS [--node NODE]
                       the CRI's own tests whose names match, against a node's containerd
  logs PROGRAM         last lines of a log: kube-apiserver, node1.kubelet, node2.containerd …
`;

const say = (line: string): void => console.error(`cluster: ${line}`);

const name = process.env.WEFT_CLUSTER ?? DEFAULT_NAME;

const running = (): Cluster => {
  const cluster = openCluster(name);
  if (cluster === undefined) throw new Error('no cluster runs; start one with: npm run cluster -- up');
  return cluster;
};

const upOptions = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    options: {
      nodes: { type: 'string', default: '3' },
      image: { type: 'string', multiple: true, default: [] },
      manifest: { type: 'string', multiple: true, default: [] },
      cni: { type: 'string', default: 'none' },
      'proxy-mode': { type: 'string', default: 'nftables' },
      wait: { type: 'boolean', default: false },
      dns: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  }).values;

const oneOf = <T extends string>(flag: string, value: string, allowed: readonly T[]): T => {
  const found = allowed.find(item => item === value);
  if (found === undefined) throw new Error(`--${flag} must be one of ${allowed.join(', ')}, got ${value}`);
  return found;
};

const count = (flag: string, value: string): number => {
  if (!/^[1-9]$/.test(value)) throw new Error(`--${flag} must be 1 to 9, got ${value}`);
  return Number(value);
};

/** Twice: what was about to start when the signal came may have started behind the first one's back. */
const removeAll = async (): Promise<void> => {
  for (const at of [layout(name), layout(name)]) await tearDown(at).catch(error => say(String(error)));
};

/** Ctrl-C while the cluster comes up removes what is there already. */
const removeOnSignal = (): void => {
  const on = (signal: 'SIGINT' | 'SIGTERM', code: number) =>
    process.once(signal, () => {
      say(`${signal}: removing everything`);
      void removeAll().then(() => process.exit(code));
    });
  on('SIGINT', 130);
  on('SIGTERM', 143);
};

const up = async (args: readonly string[]): Promise<number> => {
  const reason = clusterUnavailable();
  if (reason !== undefined) {
    console.log(`SKIP cluster: ${reason}`);
    return 0;
  }
  const flags = upOptions(args);
  const from = Date.now();
  removeOnSignal();
  const cluster = await startCluster({
    name,
    nodes: count('nodes', flags.nodes),
    images: flags.image,
    manifests: flags.manifest,
    cni: oneOf('cni', flags.cni, ['none', 'bridge', 'flannel']),
    proxyMode: oneOf('proxy-mode', flags['proxy-mode'], ['nftables', 'iptables']),
    dns: flags.dns,
    keepFailed: flags.keep,
    endWithProcess: false,
    log: say,
  });
  if (flags.wait || flags.cni !== 'none') await cluster.nodesReady();
  say(`up after ${((Date.now() - from) / 1000).toFixed(1)} s; logs in ${cluster.logs}`);
  return 0;
};

const down = async (): Promise<number> => {
  for (const at of [layout(name), ...orphans()]) await tearDown(at);
  return 0;
};

/** Without a limit of time: a person is watching. */
const PASS_THROUGH = { inherit: true, timeoutMs: 0 } as const;

const importAll = async (files: readonly string[]): Promise<number> => {
  for (const file of files) await running().importImage(file);
  return 0;
};

const e2e = async (args: readonly string[]): Promise<number> => {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { skip: { type: 'string', default: '' }, parallel: { type: 'string', default: '2' } },
  });
  const [focus] = positionals;
  if (focus === undefined) throw new Error('e2e: which tests? For instance: npm run cluster -- e2e Netpol');
  const parallel = count('parallel', values.parallel);
  return runE2e(running(), { focus, skip: values.skip, parallel, log: say });
};

const critest = async (args: readonly string[]): Promise<number> => {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { node: { type: 'string', default: 'node1' } },
  });
  const [focus] = positionals;
  if (focus === undefined)
    throw new Error('critest: which tests? For instance: npm run cluster -- critest Networking');
  return runCritest(running(), values.node, focus, say);
};

const showLog = (role: string): number => {
  console.log(logTail(layout(name), role, 200));
  return 0;
};

const dispatch = async ([command, ...args]: readonly string[]): Promise<number> => {
  if (command === 'up') return up(args);
  if (command === 'down') return down();
  if (command === 'kubectl') return (await running().kubectl(args, PASS_THROUGH)).code;
  if (command === 'exec') return (await running().exec(args[0] ?? '', args.slice(1), PASS_THROUGH)).code;
  if (command === 'import') return importAll(args);
  if (command === 'e2e') return e2e(args);
  if (command === 'critest') return critest(args);
  if (command === 'logs') return showLog(args[0] ?? 'kube-apiserver');
  console.error(USAGE);
  return command === '--help' ? 0 : 2;
};

try {
  process.exitCode = await dispatch(process.argv.slice(2));
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
