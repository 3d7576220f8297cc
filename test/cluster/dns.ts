import { CLUSTER_DOMAIN, DNS_SERVICE_IP } from './addresses.ts';
import { COREDNS_IMAGE } from './images.ts';

const NAME = 'coredns';

const metadata = { name: NAME, namespace: 'kube-system' } as const;

const labels = { 'k8s-app': 'kube-dns' } as const;

const COREFILE = `.:53 {
  errors
  health
  ready
  kubernetes ${CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {
    pods insecure
  }
  cache 5
  loop
  reload
}
`;

const rights = [
  { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
] as const;

const access = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: NAME },
    rules: rights,
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: NAME },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: NAME },
    subjects: [{ kind: 'ServiceAccount', ...metadata }],
  },
] as const;

const pod = {
  serviceAccountName: NAME,
  dnsPolicy: 'Default',
  containers: [
    {
      name: NAME,
      image: COREDNS_IMAGE,
      imagePullPolicy: 'IfNotPresent',
      args: ['-conf', '/etc/coredns/Corefile'],
      readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
      volumeMounts: [{ name: 'config', mountPath: '/etc/coredns' }],
    },
  ],
  volumes: [{ name: 'config', configMap: { name: NAME } }],
} as const;

const ports = (['UDP', 'TCP'] as const).map(protocol => ({
  name: protocol.toLowerCase(),
  port: 53,
  protocol,
}));

/** CoreDNS as one replica behind the cluster's DNS address, as text for `kubectl apply -f -`. */
export const dnsManifest = (): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: [
      ...access,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { Corefile: COREFILE } },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata,
        spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: pod } },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { ...metadata, name: 'kube-dns' },
        spec: { clusterIP: DNS_SERVICE_IP, selector: labels, ports },
      },
    ],
  });
