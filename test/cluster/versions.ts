/**
 * Modules of ours: `own` with programs, `e2e` and `critest` with packages of tests, `flannel` with flannel's daemon,
 * `libcni` with a small runtime.
 */
export type OwnModule = 'own' | 'e2e' | 'critest' | 'flannel' | 'libcni';

/**
 * What the cluster is made of. A target is one call of the Go compiler; its key is made of everything below
 * and of our own Go files, so a change of version builds anew and nothing else does.
 */
export type Target = {
  readonly name: string;
  /** What it is built from: a module of our own, or a published one at a version. */
  readonly source: OwnModule | { readonly module: string; readonly version: string };
  /** Programs to build; for a published module relative to it. */
  readonly packages: readonly string[];
  readonly ldflags: string;
  /** The module's tests as a program of this name, too. */
  readonly tests?: string;
  /** New names of binaries, where the package's own says too little. */
  readonly rename?: Readonly<Record<string, string>>;
  /** Second names of a binary that looks at how it was called. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
};

export const KUBERNETES = 'v1.36.3';
const CONTAINERD = 'v2.4.2';
const CNI_PLUGINS = 'v1.9.1';
const CNITOOL = 'v1.3.1';
const WIREGUARD_GO = 'v0.0.0-20260522210424-ecfc5a8d5446';
const COREDNS = 'v1.15.0';
const HELM = 'v3.22.0';
const CRI_TOOLS = 'v1.37.0';

/** Without these every component calls itself v0.0.0-master, and version skew checks go astray. */
const kubernetesVersion = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap(path => [
  `-X ${path}.gitVersion=${KUBERNETES}`,
  `-X ${path}.gitMajor=1`,
  `-X ${path}.gitMinor=36`,
  `-X ${path}.gitTreeState=clean`,
  `-X ${path}.buildDate=2026-01-01T00:00:00Z`,
]);

const own = (name: string, packages: readonly string[]) =>
  ({
    name,
    packages,
    source: 'own',
    ldflags: ['-s -w', ...kubernetesVersion].join(' '),
  }) as const;

const published = (name: string, module: string, version: string, packages: readonly string[] = ['.']) =>
  ({ name, packages, source: { module, version }, ldflags: '-s -w' }) as const;

export const targets = {
  kubernetes: {
    ...own('kubernetes', ['.']),
    aliases: {
      'weft-kube': [
        'etcd',
        'kube-apiserver',
        'kube-controller-manager',
        'kube-scheduler',
        'kube-proxy',
        'kubelet',
        'kubectl',
      ],
    },
  },
  agnhost: own('agnhost', ['k8s.io/kubernetes/test/images/agnhost']),
  /** Kubernetes' own tests of networking, and the program that runs them side by side. */
  e2e: {
    ...own('e2e', ['github.com/onsi/ginkgo/v2/ginkgo']),
    source: 'e2e',
    tests: 'e2e.test',
  },
  containerd: {
    ...published('containerd', 'github.com/containerd/containerd/v2', CONTAINERD, [
      'cmd/containerd',
      'cmd/containerd-shim-runc-v2',
      'cmd/ctr',
    ]),
    ldflags: `-s -w -X github.com/containerd/containerd/v2/version.Version=${CONTAINERD}`,
  },
  cniPlugins: published('cni-plugins', 'github.com/containernetworking/plugins', CNI_PLUGINS, [
    'plugins/main/loopback',
    'plugins/main/bridge',
    'plugins/main/ptp',
    'plugins/ipam/host-local',
    'plugins/meta/portmap',
    'plugins/meta/bandwidth',
    'plugins/meta/tuning',
  ]),
  cnitool: published('cnitool', 'github.com/containernetworking/cni', CNITOOL, ['cnitool']),
  /** Upstream's plugin that writes down what it is called with, and a runtime in one call. */
  cniNoop: published('cni-noop', 'github.com/containernetworking/cni', CNITOOL, ['plugins/test/noop']),
  flannel: { name: 'flannel', packages: ['.'], source: 'flannel', ldflags: '-s -w' },
  libcni: { name: 'libcni', packages: ['.'], source: 'libcni', ldflags: '-s -w' },
  wireguardGo: {
    ...published('wireguard-go', 'golang.zx2c4.com/wireguard', WIREGUARD_GO),
    rename: { wireguard: 'wireguard-go' },
  },
  /** What operators call a node's runtime with, past the kubelet. */
  crictl: published('crictl', 'sigs.k8s.io/cri-tools', CRI_TOOLS, ['cmd/crictl']),
  /** The CRI's own tests of a runtime. */
  critest: { name: 'critest', packages: [], source: 'critest', ldflags: '-s -w', tests: 'critest' },
  helm: published('helm', 'helm.sh/helm/v3', HELM, ['cmd/helm']),
  coredns: published('coredns', 'github.com/coredns/coredns', COREDNS),
} as const satisfies Readonly<Record<string, Target>>;

export type TargetName = keyof typeof targets;
