import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type {
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1ConfigMap,
  V1Container,
  V1DaemonSet,
  V1Namespace,
  V1PodSpec,
  V1ServiceAccount,
  V1ValidatingAdmissionPolicy,
  V1ValidatingAdmissionPolicyBinding,
} from '@kubernetes/client-node';
import { parseAllDocuments } from 'yaml';
import { defaults, fields, parseConfig } from '../../config.ts';
import { RUN_DIR, STATE_DIR, WG_LINK } from '../../constants.ts';
import { AGENT_ANNOTATIONS } from '../../manifests/admission.ts';
import { ADMISSION_POLICY, STATUS_POLICY } from '../../manifests/names.ts';
import { rendered, stale } from '../../manifests/render.ts';
import { VERSION } from '../../version.ts';

type Meta = { readonly name: string; readonly namespace?: string };
type Loaded = { readonly apiVersion: string; readonly kind: string; readonly metadata: Meta };

/** Objects of a committed file, as `kubectl apply` would read them. */
const load = (file: string): readonly Loaded[] =>
  parseAllDocuments(readFileSync(join(import.meta.dirname, '../../manifests', file), 'utf8')).map(
    document => {
      assert.deepEqual(document.errors, []);
      return document.toJS() as Loaded;
    },
  );

const kernel = load('weft.yaml');
const userspace = load('weft-userspace.yaml');

const find = <T>(kind: string, name?: string, objects = userspace): T => {
  const found = objects.filter(o => o.kind === kind && (name === undefined || o.metadata.name === name));
  assert.equal(found.length, 1, `${found.length} objects of kind ${kind} ${name ?? ''}`);
  return found[0] as T;
};

const podOf = (name: string): V1PodSpec => {
  const spec = find<V1DaemonSet>('DaemonSet', name).spec?.template.spec;
  assert.ok(spec);
  return spec;
};

const containerOf = (name: string): V1Container => {
  const { containers, initContainers } = podOf(name);
  assert.equal(initContainers, undefined);
  assert.equal(containers.length, 1);
  return containers[0] as V1Container;
};

const DAEMON_SETS = ['weft', 'weft-wireguard'];

describe('manifests', () => {
  test('the committed files are what the source renders', () => {
    assert.deepEqual(stale(), []);
  });

  test('userspace is the same install and one DaemonSet, so that switching restarts no agent', () => {
    assert.deepEqual(userspace.slice(0, kernel.length), kernel);
    assert.deepEqual(
      userspace.slice(kernel.length).map(o => `${o.kind} ${o.metadata.name}`),
      ['DaemonSet weft-wireguard'],
    );
  });

  test('no object is there twice, and each namespaced one is in the namespace that comes first', () => {
    const names = userspace.map(o => `${o.kind}/${o.metadata.name}`);
    assert.deepEqual(names, [...new Set(names)]);
    assert.equal(userspace[0]?.kind, 'Namespace');
    const namespaced = userspace.filter(o => ['ServiceAccount', 'ConfigMap', 'DaemonSet'].includes(o.kind));
    assert.equal(namespaced.length, 4);
    for (const o of namespaced) assert.equal(o.metadata.namespace, userspace[0]?.metadata.name);
  });

  test('Pod Security lets the agent into the namespace', () => {
    const { metadata } = find<V1Namespace>('Namespace');
    assert.equal(metadata?.labels?.['pod-security.kubernetes.io/enforce'], 'privileged');
  });

  test('a ConfigMap without edits is the defaults, and documents every setting', () => {
    const map = find<V1ConfigMap>('ConfigMap');
    const parsed = parseConfig(JSON.parse(map.data?.['config.json'] ?? ''));
    assert.deepEqual(parsed, { ok: true, value: defaults() });
    const text = rendered()['weft.yaml'] ?? '';
    for (const name of Object.keys(fields)) assert.match(text, new RegExp(`^# ${name} \\(`, 'm'));
  });
});

describe('rights', () => {
  test('the agent’s account is the one that role and policy speak of', () => {
    const account = find<V1ServiceAccount>('ServiceAccount').metadata;
    const binding = find<V1ClusterRoleBinding>('ClusterRoleBinding');
    assert.deepEqual(binding.subjects, [
      { kind: 'ServiceAccount', name: account?.name, namespace: account?.namespace },
    ]);
    assert.equal(binding.roleRef.name, find<V1ClusterRole>('ClusterRole').metadata?.name);
    assert.equal(podOf('weft').serviceAccountName, account?.name);
    const policy = find<V1ValidatingAdmissionPolicy>('ValidatingAdmissionPolicy', ADMISSION_POLICY);
    assert.equal(
      policy.spec?.matchConditions?.[0]?.expression,
      `request.userInfo.username == 'system:serviceaccount:${account?.namespace}:${account?.name}'`,
    );
  });

  test('nothing but Nodes and Events may be written', () => {
    const writes = (find<V1ClusterRole>('ClusterRole').rules ?? []).flatMap(rule =>
      rule.verbs
        .filter(verb => !['get', 'list', 'watch'].includes(verb))
        .flatMap(verb => (rule.resources ?? []).map(resource => `${verb} ${resource}`)),
    );
    assert.deepEqual(writes.sort(), ['create events', 'patch nodes', 'patch nodes/status']);
  });

  test('each policy is bound, denies, and fails closed', () => {
    for (const [name, resource] of [
      [ADMISSION_POLICY, 'nodes'],
      [STATUS_POLICY, 'nodes/status'],
    ] as const) {
      const { spec } = find<V1ValidatingAdmissionPolicy>('ValidatingAdmissionPolicy', name);
      const binding = find<V1ValidatingAdmissionPolicyBinding>('ValidatingAdmissionPolicyBinding', name);
      assert.equal(binding.spec?.policyName, name);
      assert.deepEqual(binding.spec?.validationActions, ['Deny']);
      assert.equal(spec?.failurePolicy, 'Fail');
      assert.deepEqual(spec?.matchConstraints?.resourceRules?.[0]?.resources, [resource]);
    }
    const policy = find<V1ValidatingAdmissionPolicy>('ValidatingAdmissionPolicy', ADMISSION_POLICY);
    const writable = policy.spec?.variables?.find(v => v.name === 'writable')?.expression;
    assert.deepEqual(JSON.parse((writable ?? '').replaceAll("'", '"')), AGENT_ANNOTATIONS);
  });
});

describe('DaemonSets', () => {
  for (const name of DAEMON_SETS) {
    test(`${name}: runs on every node, from this version’s image`, () => {
      const pod = podOf(name);
      assert.deepEqual(pod.tolerations, [{ operator: 'Exists' }]);
      assert.equal(pod.hostNetwork, true);
      assert.equal(pod.priorityClassName, 'system-node-critical');
      assert.equal(containerOf(name).image, `weft.network/weft:${VERSION}`);
      assert.equal(containerOf(name).imagePullPolicy, 'IfNotPresent');
      assert.equal(containerOf(name).securityContext?.readOnlyRootFilesystem, true);
    });

    test(`${name}: selects its own pods and no other’s`, () => {
      const { spec } = find<V1DaemonSet>('DaemonSet', name);
      const wanted = Object.entries(spec?.selector.matchLabels ?? {});
      const matches = (other: string) => {
        const labels = find<V1DaemonSet>('DaemonSet', other).spec?.template.metadata?.labels;
        return wanted.every(([key, value]) => labels?.[key] === value);
      };
      assert.deepEqual(DAEMON_SETS.filter(matches), [name]);
    });

    test(`${name}: every volume is mounted and every mount has a volume`, () => {
      const volumes = (podOf(name).volumes ?? []).map(v => v.name);
      assert.deepEqual(
        (containerOf(name).volumeMounts ?? []).map(m => m.name),
        volumes,
      );
      assert.equal(new Set(volumes).size, volumes.length);
    });
  }

  test('the agent has two capabilities and no privileges', () => {
    const context = containerOf('weft').securityContext;
    assert.deepEqual(context?.capabilities, { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] });
    assert.equal(context?.allowPrivilegeEscalation, false);
    assert.equal(context?.privileged, undefined);
    assert.equal(context?.seccompProfile?.type, 'RuntimeDefault');
    assert.equal(podOf('weft').hostPID, undefined);
  });

  test('the agent finds what its settings and constants name', () => {
    const mounts = (containerOf('weft').volumeMounts ?? []).map(m => m.mountPath);
    const { cniBinDir, cniConfDir } = defaults();
    for (const path of [RUN_DIR, STATE_DIR, cniBinDir, cniConfDir, '/host/proc/sys/net', '/etc/weft'])
      assert.ok(mounts.includes(path), `${path} is not mounted`);
  });

  test('the agent sees of the host only what is listed here', () => {
    const paths = (podOf('weft').volumes ?? []).flatMap(v => v.hostPath?.path ?? []);
    assert.deepEqual(paths.sort(), [
      '/etc/cni/net.d',
      '/etc/machine-id',
      '/opt/cni/bin',
      '/proc/sys/net',
      '/run/weft',
      '/run/xtables.lock',
      '/var/lib/weft',
      '/var/run/wireguard',
    ]);
  });

  test('probes ask where the agent answers by default', () => {
    const { startupProbe, readinessProbe, livenessProbe } = containerOf('weft');
    const { healthAddress: host, healthPort: port } = defaults();
    assert.deepEqual(startupProbe?.httpGet, { host, path: '/healthz', port });
    assert.deepEqual(readinessProbe?.httpGet, { host, path: '/readyz', port });
    assert.deepEqual(livenessProbe?.httpGet, { host, path: '/healthz', port });
  });

  test('wireguard-go is never restarted by an upgrade, and holds no token', () => {
    const { spec } = find<V1DaemonSet>('DaemonSet', 'weft-wireguard');
    assert.equal(spec?.updateStrategy?.type, 'OnDelete');
    assert.equal(podOf('weft-wireguard').automountServiceAccountToken, false);
    assert.equal(containerOf('weft-wireguard').command?.at(-1), WG_LINK);
  });

  test('both see the sockets of wireguard-go', () => {
    const paths = DAEMON_SETS.map(
      name => podOf(name).volumes?.find(v => v.name === 'wireguard')?.hostPath?.path,
    );
    assert.deepEqual(paths, ['/var/run/wireguard', '/var/run/wireguard']);
  });
});
