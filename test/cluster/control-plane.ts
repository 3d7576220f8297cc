import { join } from 'node:path';
import { API_PORT, API_SERVICE_IPS, CLUSTER_DOMAIN, CONTROL, POD_CIDRS, SERVICE_CIDRS } from './addresses.ts';
import { alive, type Daemon, end, logTail, noted, start } from './daemons.ts';
import type { Layout } from './layout.ts';
import { enterNetns } from './netns.ts';
import { type CertificateSpec, makePki, writeKubeconfig } from './pki.ts';
import { run, until } from './process.ts';

export const CONTROL_ROLE = 'control';

/** URL of the API server for everybody on the underlay. */
export const API_URL = `https://${CONTROL.ipv4}:${API_PORT}`;

/** A bearer token of a member of system:masters, for clients that prefer one to a certificate. */
export const ADMIN_TOKEN = 'weft-test-admin';

const CONTROLLERS = ['kube-controller-manager', 'kube-scheduler'] as const;

/** Certificates of every API server of ours: its own, the one it shows to kubelets, the administrator's. */
export const apiCertificates = (addresses: readonly string[]): readonly CertificateSpec[] => [
  {
    file: 'apiserver',
    commonName: 'kube-apiserver',
    names: [
      ...['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map(n => `DNS:${n}`),
      `DNS:kubernetes.default.svc.${CLUSTER_DOMAIN}`,
      ...[...addresses, ...API_SERVICE_IPS, '127.0.0.1', '::1'].map(ip => `IP:${ip}`),
    ],
  },
  { file: 'apiserver-kubelet-client', commonName: 'kube-apiserver', organization: 'system:masters' },
  { file: 'admin', commonName: 'admin', organization: 'system:masters' },
];

/** Makes all certificates and kubeconfigs of a cluster with these nodes. */
export const makeClusterPki = async (at: Layout, nodes: readonly string[]): Promise<void> => {
  const users = [...CONTROLLERS, 'kube-proxy', 'flannel'].map(file => ({
    file,
    commonName: `system:${file}`,
  }));
  const kubelets = nodes.map(node => ({
    file: node,
    commonName: `system:node:${node}`,
    organization: 'system:nodes',
  }));
  await makePki(at.pki, [...apiCertificates([CONTROL.ipv4, CONTROL.ipv6]), ...users, ...kubelets]);
  for (const user of ['admin', ...CONTROLLERS, 'kube-proxy', 'flannel', ...nodes])
    writeKubeconfig({ server: API_URL, folder: at.pki, user });
};

/** One etcd member without peers, on loopback. `fsync` is off: the data lives as long as the test. */
export const etcdArgv = (dataDir: string, clientPort: number, peerPort: number): readonly string[] => [
  'etcd',
  `--data-dir=${dataDir}`,
  `--listen-client-urls=http://127.0.0.1:${clientPort}`,
  `--advertise-client-urls=http://127.0.0.1:${clientPort}`,
  `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
  `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
  `--initial-cluster=default=http://127.0.0.1:${peerPort}`,
  '--unsafe-no-fsync',
  '--log-level=warn',
];

export type ApiServerSpec = {
  readonly pki: string;
  readonly etcdPort: number;
  readonly bind: string;
  readonly port: number;
  readonly advertise: string;
};

export const apiServerArgv = ({ pki, etcdPort, bind, port, advertise }: ApiServerSpec): readonly string[] => [
  'kube-apiserver',
  `--etcd-servers=http://127.0.0.1:${etcdPort}`,
  `--bind-address=${bind}`,
  `--secure-port=${port}`,
  `--advertise-address=${advertise}`,
  `--client-ca-file=${pki}/ca.crt`,
  `--tls-cert-file=${pki}/apiserver.crt`,
  `--tls-private-key-file=${pki}/apiserver.key`,
  `--token-auth-file=${pki}/tokens.csv`,
  `--kubelet-client-certificate=${pki}/apiserver-kubelet-client.crt`,
  `--kubelet-client-key=${pki}/apiserver-kubelet-client.key`,
  '--kubelet-preferred-address-types=InternalIP',
  '--service-account-issuer=https://kubernetes.default.svc',
  `--service-account-key-file=${pki}/sa.pub`,
  `--service-account-signing-key-file=${pki}/sa.key`,
  `--service-cluster-ip-range=${SERVICE_CIDRS.join(',')}`,
  '--authorization-mode=Node,RBAC',
  '--enable-admission-plugins=NodeRestriction',
  '--allow-privileged=true',
];

const controllerArgv = (at: Layout, name: string): readonly string[] => [
  name,
  `--kubeconfig=${at.pki}/${name}.conf`,
  '--leader-elect=false',
];

const controllerManagerArgv = (at: Layout): readonly string[] => [
  ...controllerArgv(at, 'kube-controller-manager'),
  '--allocate-node-cidrs',
  `--cluster-cidr=${POD_CIDRS.join(',')}`,
  '--node-cidr-mask-size-ipv4=24',
  '--node-cidr-mask-size-ipv6=64',
  `--service-cluster-ip-range=${SERVICE_CIDRS.join(',')}`,
  `--service-account-private-key-file=${at.pki}/sa.key`,
  `--root-ca-file=${at.pki}/ca.crt`,
  '--use-service-account-credentials',
];

/** Waits for the API server's /readyz. @throws Error with its last lines when it ends or takes too long. */
export const untilReady = async (at: Layout, server: Daemon, kubectl: readonly string[]): Promise<void> => {
  const ready = async () => {
    if (!alive(server)) return 'ended';
    const output = await run([...kubectl, 'get', '--raw=/readyz'], { timeoutMs: 5000 });
    return output.code === 0 && 'ready';
  };
  const state = await until('kube-apiserver ready', 90_000, ready, 200).catch(
    (error: Error) => error.message,
  );
  if (state !== 'ready') throw new Error(`kube-apiserver: ${state}\n${logTail(at, server.role)}`);
};

/** argv of kubectl as the administrator, on the underlay. */
export const kubectlArgv = (at: Layout, args: readonly string[]): readonly string[] =>
  enterNetns(at, CONTROL_ROLE, [join(at.bin, 'kubectl'), `--kubeconfig=${at.pki}/admin.conf`, ...args]);

const startInControl = (at: Layout, argv: readonly string[]): Daemon =>
  start(at, argv[0] ?? '', enterNetns(at, CONTROL_ROLE, argv));

/** Starts etcd and the API server in the control plane's namespace and waits until it is ready. */
export const startApi = async (at: Layout): Promise<void> => {
  startInControl(at, etcdArgv(join(at.data, 'etcd'), 2379, 2380));
  await startApiServer(at);
};

/** Starts the API server; etcd must run. */
export const startApiServer = async (at: Layout): Promise<void> => {
  const spec = { pki: at.pki, etcdPort: 2379, bind: '::', port: API_PORT, advertise: CONTROL.ipv4 };
  await untilReady(at, startInControl(at, apiServerArgv(spec)), kubectlArgv(at, []));
};

/** Kills the API server as kill -9 does; etcd keeps the objects. */
export const killApiServer = (at: Layout): Promise<void> =>
  end(noted(at).filter(daemon => daemon.role === 'kube-apiserver'));

/** Starts the rest. The controller manager gives up on an API server that is not ready within 10 s: call after startApi. */
export const startControllers = (at: Layout): void => {
  startInControl(at, controllerManagerArgv(at));
  startInControl(at, controllerArgv(at, 'kube-scheduler'));
};
